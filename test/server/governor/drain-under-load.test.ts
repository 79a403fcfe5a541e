import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, test } from "node:test";
import { WebSocket } from "ws";
import type { DrainReport } from "../../../src/server/index.js";
import { missingPrograms } from "../../support/programs.js";
import { until } from "../../support/until.js";
import { freePort, Haproxy } from "./haproxy.js";

const program = fileURLToPath(new URL("programs/drained-server.js", import.meta.url));
const withinMs = 6_000;
/** A process that ends takes its time, the more on a busy machine. */
const endMs = 10_000;
const loadSeconds = 8;

/** A governed server in a process of its own. */
class Drained implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #host: string;
  readonly #ended: Promise<unknown>;
  #said = "";

  private constructor(kind: "http1" | "http2", host: string) {
    this.#host = host;
    this.#process = spawn(process.execPath, [program, kind, host, `${withinMs}ms`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#process.stdout?.on("data", (text) => (this.#said += String(text)));
    this.#ended = once(this.#process, "exit");
  }

  static async start(kind: "http1" | "http2", host: string): Promise<Drained> {
    const server = new Drained(kind, host);
    await until(() => server.#said.includes("port "));
    return server;
  }

  get port(): number {
    return Number(/^port (\d+)$/m.exec(this.#said)?.[1]);
  }

  get origin(): string {
    return `${this.#host.includes(":") ? `[${this.#host}]` : this.#host}:${this.port}`;
  }

  /** Until it has ended, by itself. */
  async drain(): Promise<{
    readonly tookMs: number;
    readonly status: number | null;
    readonly report: DrainReport;
  }> {
    const startMs = performance.now();
    this.#process.kill("SIGTERM");
    await this.#ended;
    const line = this.#said.split("\n").find((said) => said.startsWith("{"));
    return {
      tookMs: performance.now() - startMs,
      status: this.#process.exitCode,
      report: JSON.parse(line ?? "null") as DrainReport,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#ended;
  }
}

interface Load {
  readonly done: number;
  /** Requests that were sent and got no answer, or another than was wanted. */
  readonly failed: number;
  /** Connections that could not be made. */
  readonly unconnected: number;
  readonly said: string;
}

async function wrk(port: number, host: string): Promise<Load> {
  const { stdout } = await promisify(execFile)("wrk", [
    "-t1",
    "-c20",
    "--timeout",
    "30s",
    `-d${loadSeconds}s`,
    `http://${host}:${port}/`,
  ]);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout);
  const [connect = 0, read = 0, write = 0, timeout = 0] = (errors ?? []).slice(1).map(Number);
  const figure = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? 0);
  return {
    done: figure(/(\d+) requests in/),
    failed: read + timeout + figure(/Non-2xx or 3xx responses: (\d+)/),
    // It connects without waiting, and learns that nobody is there when it writes.
    unconnected: connect + write,
    said: stdout,
  };
}

async function h2load(port: number, host: string, ...more: string[]): Promise<Load> {
  const words = ["-c20", "-m5", ...more, `http://${host}:${port}/`];
  const { stdout } = await promisify(execFile)("h2load", words);
  const [, done, failed, errored] =
    /(\d+) succeeded, (\d+) failed, (\d+) errored/.exec(stdout)?.map(Number) ?? [];
  const other = Number(/(\d+) 3xx, /.exec(stdout)?.[1] ?? 0) + Number(/(\d+) 5xx/.exec(stdout)?.[1] ?? 0);
  return {
    done: done ?? 0,
    failed: (failed ?? 1) + other,
    unconnected: (errored ?? 1) - (failed ?? 1),
    said: stdout,
  };
}

/** A WebSocket that is used all the time, and comes back when it is told to. */
class Chatter {
  /** How its connections have ended, before this side ended the last. */
  readonly endings: number[] = [];
  echoed = 0;
  #socket: WebSocket | null = null;
  #stopped = false;
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
    this.#come();
  }

  get open(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  stop(): void {
    this.#stopped = true;
    this.#socket?.terminate();
  }

  #come(): void {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    const beat = setInterval(() => {
      if (socket.readyState === WebSocket.OPEN) socket.send("word");
    }, 100);
    socket.on("message", () => this.echoed++);
    socket.on("error", () => {});
    socket.on("close", (code) => {
      clearInterval(beat);
      if (this.#stopped) return;
      this.endings.push(code);
      this.#come();
    });
  }
}

/**
 * A server that ends an idle connection cannot know of a request that is on its way; RFC 9112 section 9.3.1 has the client send it
 * again. So it is with a connection that the kernel has accepted and the server has not.
 */
const more = ["retry-on conn-failure empty-response", "retries 3"];

describe("drain under load", { timeout: 60_000, skip: missingPrograms("wrk", "h2load", "haproxy") }, () => {
  test("through haproxy, beside a server that stays: no request fails, WebSockets are told, it ends in time", async () => {
    await using old1 = await Drained.start("http1", "127.0.0.1");
    await using new1 = await Drained.start("http1", "::1");
    await using old2 = await Drained.start("http2", "::1");
    await using new2 = await Drained.start("http2", "127.0.0.1");
    const [port1, port2] = [await freePort(), await freePort()];
    await using haproxy = await Haproxy.start([
      { port: port1, servers: [old1.origin, new1.origin], more },
      {
        port: port2,
        bind: "proto h2",
        servers: [`${old2.origin} proto h2`, `${new2.origin} proto h2`],
        more,
      },
    ]);
    const chatters = Array.from(
      { length: 100 },
      (_, index) => new Chatter(`ws://${index % 2 === 0 ? "127.0.0.1" : "[::1]"}:${port1}/`),
    );
    try {
      await until(() => haproxy.running && chatters.every(({ open, echoed }) => open && echoed > 0));
      const loads = [
        wrk(port1, "127.0.0.1"),
        wrk(port1, "[::1]"),
        h2load(port2, "127.0.0.1", "-D", String(loadSeconds)),
      ];
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      const drained = await Promise.all([old1.drain(), old2.drain()]);
      for (const { done, failed, unconnected, said } of await Promise.all(loads)) {
        assert.ok(done > 100, said);
        assert.deepEqual([failed, unconnected], [0, 0], said);
      }
      for (const { status, tookMs, report } of drained) {
        assert.equal(status, 0);
        assert.ok(tookMs < withinMs + endMs, `it took ${tookMs} ms`);
        assert.equal(report.cutOff, 0);
      }
      await until(() => chatters.every(({ open }) => open));
      const endings = chatters.flatMap(({ endings }) => endings);
      assert.ok(endings.length > 0);
      for (const code of endings) assert.ok(code === 1001 || code === 1012, `closed with ${code}`);
    } finally {
      for (const chatter of chatters) chatter.stop();
    }
  });

  for (const host of ["127.0.0.1", "::1"])
    test(`straight at the server on ${host}: whatever was sent is answered`, async () => {
      await using server = await Drained.start("http1", host);
      const load = wrk(server.port, host === "::1" ? "[::1]" : host);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      const { status, tookMs, report } = await server.drain();
      assert.deepEqual([status, report.cutOff], [0, 0]);
      assert.ok(tookMs < withinMs + endMs, `it took ${tookMs} ms`);
      const { done, failed, said } = await load;
      assert.ok(done > 100, said);
      // Nobody listens any more: what cannot be connected is no request.
      assert.equal(failed, 0, said);
    });
});
