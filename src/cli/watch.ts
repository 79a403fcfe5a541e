import { Command } from "commander";
import { filterOptions, several } from "./filter-options.js";
import type { WatchCommandOptions } from "./watch/run.js";

const details = `
A line says when a connection died, the verdict ("silent?": likely rather than certain), how long the trouble had gone unnoticed, the
timer that noticed, the process, both ends, the state before, how long it had lived, the bytes sent and received, and all of it in
a sentence. Connections of all network namespaces are watched unless --netns names some. Nothing is changed at any connection.

As root the kernel's own trace events tell of every death. Without root, or without them, the kernel's lists are compared once a
second: short lives are missed, and verdicts are no more than likely.

Ctrl-C ends it. Exit status 0, also then.

Examples:
  deadpeer watch --only silent,unreachable,reset
  deadpeer watch --process postgres --for 10m
  deadpeer watch --json | jq 'select(.verdict.detectedAfterMs > 60000)'
  deadpeer watch --only silent --exec 'mail -s "peer lost" ops@example.org'`;

/** `deadpeer watch`: the obituaries of this host's connections. */
export function watchCommand(): Command {
  const command = new Command("watch")
    .description(
      "each TCP connection that dies on this host from now on: whose it was, why it died, since when",
    )
    .option("--json", "print one JSON object a line")
    .option(
      "--only <verdicts>",
      "closed, reset, silent, unreachable, unresponsive, evicted, local; several with commas",
      several,
    )
    .option("--for <duration>", "end after this time, e.g. 10m")
    .option(
      "--exec <command>",
      "run this shell command for each, with the JSON object on its standard input; four at a time",
    );
  return filterOptions(command)
    .addHelpText("after", details)
    .action(async (options: WatchCommandOptions) => {
      const { runWatch } = await import("./watch/run.js");
      await runWatch(options);
    });
}
