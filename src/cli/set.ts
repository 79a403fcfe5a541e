import { Command } from "commander";
import { filterOptions } from "./filter-options.js";
import type { SetOptions } from "./set/run.js";
import { settingsOptions } from "./settings-options.js";

const details = `
Programs do not notice. What was there is written down first: --undo puts it back, also after a crash. A connection that the new
settings could end although its peer lives (one that has been silent for longer than the user timeout) is probed first, and gets
the user timeout when the peer has answered.

Sockets of other users' processes need CAP_SYS_PTRACE (root). Exit status 3: for some of them it was missing, or the kernel refused.

Examples:
  deadpeer set --process postgres --detect 35s --dry-run
  deadpeer set --remote 10.0.0.0/8 --unprotected --detect 35s --path aws-nlb
  deadpeer set --pid 4711 --listeners --idle 60s --interval 10s --count 3
  deadpeer set --process worker --watch --detect 35s
  deadpeer set --undo`;

/** `deadpeer set`: other settings for live sockets of running processes. */
export function setCommand(): Command {
  const command = new Command("set").description(
    "changes live sockets of running processes; --undo puts back what was there",
  );
  settingsOptions(command)
    .option("--off", "keepalive off and no user timeout")
    .option("--only-unset", "leave alone what programs have chosen: keepalive that is on, a user timeout");
  return filterOptions(command)
    .option("--listeners", "listening sockets as well: what they accept inherits")
    .option("--all", "every connection; without it a filter is asked for")
    .optionsGroup("How:")
    .option("--dry-run", "print what would change")
    .option("--watch [interval]", "go on with new connections as they appear, looking every 1s by default")
    .option("--for <time>", "end --watch after this time")
    .option("--undo [run]", "put back what was there before the last run, or before this one")
    .option("--json", "print JSON; with --watch one object a line")
    .addHelpText("after", details)
    .action(async (options: SetOptions) => {
      const { runSet } = await import("./set/run.js");
      await runSet(options);
    });
}
