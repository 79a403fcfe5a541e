import { Command } from "commander";
import type { EchoCommandOptions } from "./nat/echo-run.js";

const details = `
It says nothing unless it is asked to, and closes no connection of a measurement. What it speaks is described in docs/nat.md.

Examples:
  deadpeer echo
  deadpeer echo --port 7008 --listen 192.0.2.7`;

/** `deadpeer echo`: the other end of `deadpeer nat`. */
export function echoCommand(): Command {
  return new Command("echo")
    .description("a server for deadpeer nat to measure against, until Ctrl-C")
    .option("--port <n>", "where to listen; 0: any free port", "7007")
    .option("--listen <addr>", "on this address only (default: on all)")
    .addHelpText("after", details)
    .action(async (options: EchoCommandOptions) => (await import("./nat/echo-run.js")).run(options));
}
