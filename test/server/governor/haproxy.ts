import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServer } from "../../support/servers.js";

/** A frontend over IPv4 and IPv6, and the servers behind it. */
export interface Proxied {
  readonly port: number;
  /** `tcp` passes bytes on, each connection for itself. Default: http. */
  readonly mode?: "tcp" | "http";
  /** How it is spoken in front: `proto h2` for HTTP/2 without TLS. */
  readonly bind?: string;
  readonly servers: readonly string[];
  /** More lines of its configuration. */
  readonly more?: readonly string[];
}

/** haproxy in front of servers, until it is disposed of. */
export class Haproxy implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(process: ChildProcess, folder: string) {
    this.#process = process;
    this.#folder = folder;
  }

  static async start(proxied: readonly Proxied[]): Promise<Haproxy> {
    const folder = mkdtempSync(join(tmpdir(), "deadpeer-haproxy-"));
    const file = join(folder, "haproxy.cfg");
    writeFileSync(file, configuration(proxied));
    const started = startServer({ spawn }, ["haproxy", "-f", file, "-db", "-V"], /Using epoll/);
    try {
      return new Haproxy(await started, folder);
    } catch (error) {
      rmSync(folder, { recursive: true });
      throw error;
    }
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGKILL");
      await ended;
    }
    rmSync(this.#folder, { recursive: true });
  }
}

/** A port that is free over both families at this moment: haproxy cannot say which one it was given. */
export async function freePort(): Promise<number> {
  const server = createServer().listen({ port: 0, host: "::" });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function configuration(proxied: readonly Proxied[]): string {
  const lines = [
    "global",
    "  maxconn 4000",
    "defaults",
    "  mode http",
    "  balance roundrobin",
    "  option redispatch 1",
    ...["connect 5s", "client 1m", "server 1m", "tunnel 1m", "http-keep-alive 1m"].map(
      (time) => `  timeout ${time}`,
    ),
  ];
  for (const { port, mode = "http", bind = "", servers, more = [] } of proxied)
    lines.push(
      `listen on-${port}`,
      ...[`mode ${mode}`, ...more].map((line) => `  ${line}`),
      ...["ipv4@*", "ipv6@::"].map(
        (address) => `  bind ${address}:${port} ${address === "ipv6@::" ? "v6only " : ""}${bind}`,
      ),
      ...servers.map((server, index) => `  server number-${index} ${server}`),
    );
  return `${lines.join("\n")}\n`;
}
