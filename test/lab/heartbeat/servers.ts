import { type ChildProcess, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Host } from "../../../src/lab/index.js";
import {
  type Place,
  startMosquitto,
  startPostgres,
  startRabbitMq,
  startRedis,
  startServer,
  stopPostgres,
} from "../../support/servers.js";

export const ports = {
  mqtt: 1883,
  redis: 6379,
  postgres: 5432,
  amqp: 5672,
  webSocket: 8001,
  http2: 8002,
} as const;

/** The real servers of all adapters, on one host, ready for connections over IPv4 and IPv6. */
export class Servers implements AsyncDisposable {
  readonly #host: Host;
  readonly #folder = mkdtempSync(join(tmpdir(), "dp-servers-"));
  #postgres: ChildProcess | null = null;

  private constructor(host: Host) {
    this.#host = host;
  }

  static async start(host: Host): Promise<Servers> {
    const servers = new Servers(host);
    try {
      await servers.#start();
    } catch (error) {
      await servers[Symbol.asyncDispose]();
      throw error;
    }
    return servers;
  }

  /** All of them stop running, as on a machine that hangs; its kernel goes on. */
  hang(): void {
    this.#signal("SIGSTOP");
  }

  goOn(): void {
    this.#signal("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.goOn();
    if (this.#postgres !== null) await stopPostgres(this.#postgres);
    await this.#host.end();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    const spawn: Place["spawn"] = (command, args, options) => this.#host.spawn(command, args, options);
    const place = (port: number): Place => ({ spawn, folder: this.#folder, port });
    const script = fileURLToPath(new URL("node-servers.js", import.meta.url));
    const [postgres] = await Promise.all([
      startPostgres(place(ports.postgres)),
      startRabbitMq(place(ports.amqp)),
      startMosquitto(place(ports.mqtt)),
      startRedis(place(ports.redis)),
      startServer({ spawn }, [process.execPath, script], /^ready$/m),
    ]);
    this.#postgres = postgres;
  }

  #signal(signal: "SIGSTOP" | "SIGCONT"): void {
    const pids = execFileSync("ip", ["netns", "pids", this.#host.namespaceName], { encoding: "utf8" });
    for (const pid of pids.split("\n").filter((line) => line !== ""))
      try {
        process.kill(Number(pid), signal);
      } catch {
        // It has just ended.
      }
  }
}
