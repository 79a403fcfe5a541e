import { Command } from "commander";
import type { AdviseOptions } from "./advise/run.js";
import { settingsOptions } from "./settings-options.js";

const details = `
Looks and changes nothing. Without settings: --detect 35s.

The ways, the best first: the program's own configuration, which lasts; a policy for its service, container or cgroup, for connections
to come; its live sockets, now. Each with the commands to paste and with what it cannot do.

Examples:
  deadpeer advise --pid 4711
  deadpeer advise --pid $(pidof -s redis-server) --detect 20s
  deadpeer advise --pid 4711 --path aws-nlb --detect 35s --json`;

/** `deadpeer advise`: which way for a running program. */
export function adviseCommand(): Command {
  const command = new Command("advise")
    .description("looks at a running program and prints the best way for its connections, with the commands")
    .requiredOption("--pid <number>", "the program; its workers are looked at with it");
  return settingsOptions(command)
    .optionsGroup("How:")
    .option("--json", "print JSON")
    .addHelpText("after", details)
    .action(async (options: AdviseOptions) => {
      const { runAdvise } = await import("./advise/run.js");
      await runAdvise(options);
    });
}
