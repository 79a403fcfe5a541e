import { Command } from "commander";
import type { ExplainCommandOptions } from "./explain/run.js";

const details = `
FILE is pcap or pcapng, gzip-compressed or not; - reads stdin. In place of a file, --iface watches a network through tcpdump
until Ctrl-C or for the time that --for gives. Connections are listed worst first; without --all only those in which something
was found, if there are many. A connection's number is that of its first frame.

An input that is cut off or damaged is explained as far as it goes, with a warning and exit status 2.

Examples:
  deadpeer explain hang.pcap
  deadpeer explain hang.pcap.gz --port 5432 --html hang.html
  tcpdump -w - port 443 | deadpeer explain -
  deadpeer explain --iface eth0 --filter "host 10.0.0.7" --for 10m --pcap seen.pcap`;

/** `deadpeer explain`: what a capture says about who was alive, who was not, and who noticed. */
export function explainCommand(): Command {
  return new Command("explain")
    .description("a capture, connection by connection: keepalive, silences, and who noticed what when")
    .argument("[file]", "a capture, or - for stdin")
    .option("--json", "print JSON")
    .option("--html <file>", "write a page with sequence diagrams; - prints it")
    .option("--all", "every connection, not only those in which something was found")
    .option("--flow <n>", "only the connection that begins with this frame")
    .option("--port <n>", "only connections from or to this port")
    .optionsGroup("Watching a network:")
    .option("--iface <name>", "capture here, e.g. eth0 or any")
    .option("--filter <expression>", "only these packets, as tcpdump writes it")
    .option("--for <time>", "end by itself after this time, e.g. 60s")
    .option("--pcap <file>", "keep what was seen")
    .addHelpText("after", details)
    .action(async (file: string | undefined, options: ExplainCommandOptions) =>
      (await import("./explain/run.js")).run(file, options),
    );
}
