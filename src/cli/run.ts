import { Command } from "commander";
import { whichConnections } from "./policy.js";
import type { RunOptions } from "./run/run.js";
import { settingsOptions } from "./settings-options.js";

const details = `
deadpeer becomes the program, as env and nice do: its process number, terminal, signals and exit status are the program's own.
Children are covered as well. When the last process has ended the cgroup and its policy go.

Exit status: the program's; 127 if there is no such program, 126 if it cannot be started; before that 2 and 3 as everywhere.

Examples:
  deadpeer run --detect 35s -- psql -h db.example
  deadpeer run --detect 35s --path aws-nlb --port 5432 -- ./static-go-binary
  deadpeer run --idle 60s --interval 10s --count 3 -- setpriv --reuid www-data --regid www-data --init-groups program`;

/** `deadpeer run`: a program all of whose connections get the settings. */
export function runCommand(): Command {
  const command = new Command("run")
    .description("starts a program; all its connections get the settings, those of static binaries too")
    .argument("<program>", "looked for in PATH")
    .argument("[args...]", "its arguments, as they stand")
    .passThroughOptions();
  return whichConnections(settingsOptions(command))
    .addHelpText("after", details)
    .action(async (program: string, args: string[], options: RunOptions) => {
      const { run } = await import("./run/run.js");
      await run([program, ...args], options);
    });
}
