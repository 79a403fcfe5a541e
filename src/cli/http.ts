import { Command } from "commander";
import { several } from "./filter-options.js";
import type { HttpCommandOptions } from "./http/request.js";

const details = `
Connections lie idle side by side until the server ends them, or for ever longer times until a request on one is no longer answered.
It takes about as long as the server keeps an idle connection, and at most about as long as --max; up to four times that where the
server does not end connections by itself. Ctrl-C prints what is known by then.

Examples:
  deadpeer http https://api.example/health
  deadpeer http http://10.0.0.7:8080/ --max 20s --check --json`;

/** `deadpeer http`: a server's HTTP keep-alive, measured. */
export function httpCommand(): Command {
  return new Command("http")
    .description("measures a server's HTTP keep-alive")
    .argument("<url>")
    .option("--max <time>", "the longest that a connection is left idle", "120s")
    .option("--connections <n>", "idle side by side, from 2 on", "20")
    .option("--requests <n>", "how many are tried on one connection; 0: none", "1000")
    .option("--samples <n>", "new connections to compare with reused ones; 0: none", "7")
    .option("--precision <time>", "how exactly, where the server ends nothing by itself (default: 2 %)")
    .option("--timeout <time>", "wait so long for a connection or an answer", "10s")
    .option("--head", "send HEAD rather than GET")
    .option("--header <line>", "send it, e.g. 'Host: a.example'; may be repeated", several)
    .option("--follow", "go where redirects lead")
    .option("--http1", "do not offer HTTP/2")
    .option("--insecure", "take any certificate")
    .option("--ca <file>", "trust these certificates (PEM)")
    .option("-4, --ipv4", "over IPv4 only")
    .option("-6, --ipv6", "over IPv6 only")
    .option("--check [codes]", "exit 1 if there are findings, or any of these, comma-separated")
    .option("--json", "print JSON")
    .addHelpText("after", details)
    .action(async (url: string, options: HttpCommandOptions) =>
      (await import("./http/run.js")).run(url, options),
    );
}
