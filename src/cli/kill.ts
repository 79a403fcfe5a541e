import { Command } from "commander";
import { filterOptions } from "./filter-options.js";
import type { KillCommandOptions } from "./kill/run.js";

const details = `
The program gets ECONNABORTED from its next call, the peer a reset. Needs CAP_NET_ADMIN (root). Nothing is ended without a filter;
connections in TIME_WAIT and listeners only with --state. Connections that your own session hangs on are said, asked about in
particular, and ended last.

Examples:
  deadpeer kill --remote 10.0.0.9 --dry-run
  deadpeer kill --process worker --silent-for 10m
  deadpeer kill --pid 4711 --state close-wait --yes
  deadpeer kill --all --silent-for 1h --yes --json`;

/** `deadpeer kill`: ends connections in the kernel. */
export function killCommand(): Command {
  const command = new Command("kill").description("ends connections in the kernel; both sides learn of it");
  return filterOptions(command)
    .option("--silent-for <time>", "only if the peer has owed an answer for so long; idle ones stay")
    .option("--all", "every connection; without it a filter is asked for")
    .optionsGroup("How:")
    .option("--yes", "do not ask")
    .option("--dry-run", "print what would be ended")
    .option("--json", "print JSON")
    .addHelpText("after", details)
    .action(async (options: KillCommandOptions) => {
      const { runKill } = await import("./kill/run.js");
      await runKill(options);
    });
}
