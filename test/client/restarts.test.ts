import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const many = 1_000;
const cuts = 50;

/** A relay between the two, so that a connection can be cut without either side's doing. */
class Relay {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #port = 0;

  constructor() {
    this.#server = createServer((near) => {
      const far = connect(this.#port, "127.0.0.1");
      const pair = [near, far] as const;
      this.#pairs.add(pair);
      near.pipe(far).pipe(near);
      for (const socket of pair) {
        socket.on("error", () => {});
        socket.on("close", () => {
          this.#pairs.delete(pair);
          for (const other of pair) other.destroy();
        });
      }
    });
  }

  async listen(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as { port: number }).port;
  }

  to(port: number): void {
    this.#port = port;
  }

  /** Resets both ends of everything, so that bytes on their way are lost. */
  cut(): void {
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

describe("numbered messages through cut-offs and restarts", { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-restarts-"));
  const relay = new Relay();
  const children: Partial<Record<"client" | "server", ChildProcess>> = {};
  let ports: { relay: number; server: number };

  before(async () => {
    ports = { relay: await relay.listen(), server: await freePort() };
    relay.to(ports.server);
  });
  after(() => {
    for (const child of Object.values(children)) child.kill("SIGKILL");
    relay.close();
    rmSync(folder, { recursive: true });
  });

  function start(side: "client" | "server"): void {
    const program = fileURLToPath(new URL(`programs/numbering-${side}.js`, import.meta.url));
    const port = side === "client" ? ports.relay : ports.server;
    children[side] = spawn(process.execPath, [program, String(port), folder, String(many)], {
      stdio: ["ignore", "inherit", "inherit"],
    });
  }

  async function restart(side: "client" | "server"): Promise<void> {
    const child = children[side] as ChildProcess;
    assert.equal(child.exitCode, null, `the ${side} ended by itself`);
    child.kill("SIGKILL");
    await once(child, "exit");
    start(side);
  }

  function lines(side: "client" | "server"): string[] {
    const path = `${folder}/${side}-heard`;
    return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
  }

  async function progress(from: number): Promise<number> {
    for (;;) {
      const now = lines("client").length + lines("server").length;
      if (now >= Math.min(from, 2 * many)) return now;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  test(`${many} each way through ${cuts} of them: none lost, none twice, in order`, async () => {
    start("server");
    start("client");
    for (let cut = 0; cut < cuts; cut++) {
      // Each falls anywhere into what is being said: a little after the last one was got over.
      await progress(Math.floor((cut * 2 * many) / cuts) + 1);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 40));
      if (cut % 5 === 4) await restart(cut % 2 === 0 ? "client" : "server");
      else relay.cut();
    }
    await progress(2 * many);
    const numbers = (letter: string): string[] => Array.from({ length: many }, (_, n) => `${letter}${n + 1}`);
    assert.deepEqual(lines("server"), numbers("c"));
    assert.deepEqual(lines("client"), numbers("s"));
  });
});
