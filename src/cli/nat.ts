import { Command } from "commander";
import type { NatCommandOptions } from "./nat/run.js";

const details = `
The server is one that \`deadpeer echo\` runs (without a port: 7007), or any TCP server that lets a silent connection stand.
Connections are left silent for times of different lengths, side by side, then spoken on: with an echo server from both ends. It
takes about two and a half times as long as the path remembers, and at most about as long as --max where nothing is forgotten.
Ctrl-C prints what is known by then.

Examples:
  deadpeer nat gateway.example
  deadpeer nat db.example:5432 --max 20m --detect 1m
  deadpeer nat '[2001:db8::7]:443' --precision 2s --json`;

/** `deadpeer nat`: how long the path remembers a connection that is idle. */
export function natCommand(): Command {
  return new Command("nat")
    .description("how long the path to a server remembers an idle connection")
    .argument("<server>", "HOST:PORT")
    .option("--max <time>", "the longest silence that is tried", "10m")
    .option("--precision <time>", "how exactly (default: 5 %, but not below 1s)")
    .option("--connections <n>", "side by side, from 2 on; twice as many with an echo server", "20")
    .option("--detect <time>", "notice a dead peer within this time, in the plan that fits", "35s")
    .option("-4, --ipv4", "over IPv4 only")
    .option("-6, --ipv6", "over IPv6 only")
    .option("--json", "print JSON")
    .addHelpText("after", details)
    .action(async (target: string, options: NatCommandOptions) =>
      (await import("./nat/run.js")).run(target, options),
    );
}
