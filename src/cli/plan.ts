import { Command } from "commander";
import { several } from "./filter-options.js";
import type { PlanCommandOptions } from "./plan/run.js";

const details = `
Durations: 35s, 10m, 1h30m, 500ms. A box of your own on the path is given by its idle timeout: --path 90s.

Examples:
  deadpeer plan --detect 35s --path aws-nlb --outage 10s
  deadpeer plan --detect 35s --for postgres
  deadpeer plan --idle 7200s --interval 75s --count 9
  deadpeer plan --list paths`;

/** `deadpeer plan`: from a time to settings, or from settings to times. */
export function planCommand(): Command {
  return new Command("plan")
    .description(
      "settings that notice a dead peer in time, their price and their risks; or what settings mean",
    )
    .optionsGroup("From a time to settings:")
    .option("--detect <time>", "notice a dead peer within this time, e.g. 35s")
    .option("--outage <time>", "ride out an interruption of the path this long")
    .option("--for <target>", "print the lines to paste for a program, e.g. node, nginx, sysctl")
    .optionsGroup("From settings to times (what is left out is as Linux has it):")
    .option("--idle <time>", "silence before the first probe")
    .option("--interval <time>", "time between unanswered probes")
    .option("--count <n>", "unanswered probes until dead")
    .option("--user-timeout <time>", "limit for unacknowledged data; 0: the system's")
    .option("--keepalive <on|off>", "on with Linux's own times, or off")
    .optionsGroup("For both:")
    .option("--path <name|time>", "a middlebox on the way, e.g. aws-nlb; may be repeated", several)
    .option("--connections <n>", "sum the traffic up for so many connections")
    .option("--retries2 <n>", "net.ipv4.tcp_retries2, 15 unless given")
    .option("--list <catalogue>", "print what is known: paths, systems, programs, targets")
    .option("--json", "print JSON")
    .addHelpText("after", details)
    .action(async (options: PlanCommandOptions) => (await import("./plan/run.js")).run(options));
}
