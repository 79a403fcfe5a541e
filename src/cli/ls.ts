import { Command } from "commander";
import { filterOptions, several } from "./filter-options.js";
import type { LsOptions } from "./ls-run.js";

const details = `
IDLE, SENDING and 0-WINDOW: how long a dead peer goes unnoticed while nothing is in flight, while data is, and how long a
peer may keep its window closed. A closed window that is answered comes from a living peer, so --slower-than, --unprotected
and the summary leave it out.

Without CAP_SYS_PTRACE (root) only own processes' sockets can be read; of others the kernel's timers tell whether keepalive is on.

Examples:
  deadpeer ls --watch
  deadpeer ls --process postgres --path aws-nlb
  deadpeer ls --check --slower-than 60s --remote 10.0.0.0/8
  deadpeer ls --json --all-netns | jq '.[] | select(.detection.worstMs == null)'`;

/** `deadpeer ls`: every TCP connection of this host, with the time a dead peer would go unnoticed. */
export function lsCommand(): Command {
  const command = new Command("ls")
    .description(
      "all TCP connections of this host with the time a dead peer would go unnoticed, the worst first",
    )
    .option("--json", "print one JSON array")
    .option("--watch [interval]", "keep it up to date, every 2s by default")
    .option("--check", "exit 1 if any connection matches (--unprotected, if no time to detect is asked for)")
    .option("--fast", "leave processes and sockets alone: only what the kernel's list gives away")
    .option("--path <name|time>", "a middlebox on the way, e.g. aws-nlb; may be repeated", several)
    .option("--listeners", "listening sockets as well")
    .option("--no-group", "one row a connection, however many there are")
    .addHelpText("after", details);
  return filterOptions(command).action(async (options: LsOptions) => {
    const { runLs } = await import("./ls-run.js");
    await runLs(options);
  });
}
