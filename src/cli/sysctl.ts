import { Command } from "commander";
import { several } from "./filter-options.js";
import type { PersistOptions } from "./sysctl/persist.js";
import type { SetOptions } from "./sysctl/set.js";
import type { ShowOptions } from "./sysctl/show.js";

const examples = `
Examples:
  deadpeer sysctl show --all-netns
  deadpeer sysctl set --detect 35s --dry-run
  deadpeer sysctl set --idle 60s --interval 10s --count 3 --retries2 8
  deadpeer sysctl set --undo
  deadpeer sysctl persist --idle 60s --interval 10s --count 3 --dry-run`;

/** `deadpeer sysctl`: the system's own values, for every program that sets none. */
export function sysctlCommand(): Command {
  return new Command("sysctl")
    .description("the system's defaults, and who would be affected")
    .helpCommand(false)
    .addHelpText("after", examples)
    .addCommand(showCommand())
    .addCommand(setCommand())
    .addCommand(persistCommand())
    .addCommand(unpersistCommand());
}

function showCommand(): Command {
  return withNamespaces(new Command("show"))
    .description("each value, where it is set, what it means and which connections live by it")
    .option("--json", "print JSON")
    .action(async (options: ShowOptions) => (await import("./sysctl/show.js")).run(options));
}

function setCommand(): Command {
  return withNamespaces(withWish(new Command("set")))
    .description("change the running kernel's values, until --undo or the next boot")
    .option("--undo", "put back what was there before deadpeer changed it")
    .option("--dry-run", "print what would change")
    .option("--json", "print JSON")
    .action(async (options: SetOptions) => (await import("./sysctl/set.js")).run(options));
}

function persistCommand(): Command {
  return withNamespaces(withWish(new Command("persist")))
    .description("write the given values, or else the running ones, to /etc/sysctl.d/90-deadpeer.conf")
    .option("--dry-run", "print the file")
    .action(async (options: PersistOptions) => (await import("./sysctl/persist.js")).run(options));
}

function unpersistCommand(): Command {
  return new Command("unpersist")
    .description("remove /etc/sysctl.d/90-deadpeer.conf")
    .option("--dry-run", "only say what would be removed")
    .action(async (options: { dryRun?: boolean }) => (await import("./sysctl/unpersist.js")).run(options));
}

function withWish(command: Command): Command {
  return command
    .option("--detect <time>", "notice a dead peer within this time, e.g. 35s")
    .option("--path <name|time>", "a middlebox on the way, e.g. aws-nlb; may be repeated", several)
    .option("--outage <time>", "ride out an interruption of the path this long")
    .option("--idle <time>", "silence before the first probe (tcp_keepalive_time)")
    .option("--interval <time>", "time between unanswered probes (tcp_keepalive_intvl)")
    .option("--count <n>", "unanswered probes until dead (tcp_keepalive_probes)")
    .option("--user-timeout <time>", "only 0: no sysctl sets a user timeout")
    .option("--retries2 <n>", "resends until data in flight fails (tcp_retries2)");
}

function withNamespaces(command: Command): Command {
  return command
    .option("--netns <path|name>", "in this network namespace; may be repeated", several)
    .option("--all-netns", "in every network namespace that a process is in or that has a name");
}
