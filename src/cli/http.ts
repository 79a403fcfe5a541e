import { Command } from "commander";
import { several } from "./filter-options.js";
import type { ChainCommandOptions } from "./http/chain-request.js";
import type { HttpCommandOptions } from "./http/request.js";

const details = `
Connections lie idle side by side until the server ends them, or for ever longer times until a request on one is no longer answered.
It takes about as long as the server keeps an idle connection, and at most about as long as --max; up to four times that where the
server does not end connections by itself. Ctrl-C prints what is known by then.

Examples:
  deadpeer http https://api.example/health
  deadpeer http http://10.0.0.7:8080/ --max 20s --check --json
  deadpeer http chain --client idle=60s --proxy /etc/nginx/nginx.conf --server '{"keepAliveTimeout":65000}'`;

const chainDetails = `
Each hop keeps idle connections to the next one for a time, which has to be shorter than the time for which the next one keeps them: else a
request crosses the FIN, and the result is a 502 or ECONNRESET. A hop is one of
  idle=60s,keepalive=75s    figures: for how long it keeps connections to the next hop, and to the one before; "never" for no limit
  aws-alb                   a service of the catalogue (deadpeer plan --list paths)
  /etc/nginx/nginx.conf     a configuration: nginx, haproxy, envoy (yaml), Node's settings (JSON), or what http --json printed
  {"keepAliveTimeout":5000} Node's settings themselves
What a file is, its content tells; nginx:FILE, haproxy:FILE, envoy:FILE, node:FILE or measured:FILE says so.

Examples:
  deadpeer http chain --client idle=4s --server keepalive=5s
  deadpeer http chain --proxy aws-alb --proxy nginx.conf --server app.json --check --json`;

/** `deadpeer http`: a server's HTTP keep-alive, measured; and a chain of them, audited. */
export function httpCommand(): Command {
  return (
    new Command("http")
      .description("measures a server's HTTP keep-alive, or audits a chain of servers")
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
      // What follows "chain" is chain's, although both have --check and --json.
      .enablePositionalOptions()
      .addCommand(chainCommand())
      .action(async (url: string, options: HttpCommandOptions) =>
        (await import("./http/run.js")).run(url, options),
      )
  );
}

function chainCommand(): Command {
  return new Command("chain")
    .description("audits idle times hop by hop: client < proxy < server")
    .option("--client <hop>", "where requests come from")
    .option("--proxy <hop>", "what is between; may be repeated, from the client on", several)
    .option("--server <hop>", "where they end")
    .option("--upstream <name>", "only this upstream, backend or cluster of a proxy's configuration")
    .option("--margin <time>", "by how much each has to be shorter than the next", "1s")
    .option("--check [codes]", "exit 1 if there are findings, or any of these, comma-separated")
    .option("--json", "print JSON")
    .addHelpText("after", chainDetails)
    .action(async (options: ChainCommandOptions) => (await import("./http/chain-run.js")).run(options));
}
