import { Command } from "commander";
import type { CleanupOptions } from "./cleanup/run.js";

const details = `
Removes what a deadpeer left that was killed or crashed: the hosts of labs with all that runs in them, trace instances, cgroups of
runs, journals whose connections have ended, temporary files. What a living deadpeer uses is not touched, nor what was asked for
and still holds; it is listed with the command that ends it.

Exit status: 3 if something could not be removed.

Examples:
  deadpeer cleanup --dry-run
  deadpeer cleanup --all`;

/** `deadpeer cleanup`: what killed deadpeers left behind. */
export function cleanupCommand(): Command {
  return new Command("cleanup")
    .description("finds and removes what killed deadpeers left behind, and lists what is still in force")
    .option("--dry-run", "change nothing, print what would go")
    .option("--all", "remove policies too")
    .option("--json", "print JSON")
    .addHelpText("after", details)
    .action(async (options: CleanupOptions) => {
      const { runCleanup } = await import("./cleanup/run.js");
      await runCleanup(options);
    });
}
