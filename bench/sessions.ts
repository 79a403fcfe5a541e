// Sixty thousand sessions on one machine: what servers that park them use while each session beats once in half a minute.
//
//   npx tsc -p tsconfig.test.json && node .build/bench/sessions.js [--json] [sessions] [processes] [seconds]
//
// Needs gcc. A process may open 20 000 files here as in many places, so there are several servers, each with clients of its own
// (bench/heartbeat/load.c). Memory is what a server holds more than when it was empty, by session: once after everybody has connected and
// garbage was collected, when V8 still has the room that so many new objects took, and at the end, when it has given that back unasked.
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { clientBytes } from "./heartbeat/client-bytes.js";

const beatEverySeconds = 30;
const numbers = process.argv.slice(2).filter((word) => word !== "--json");
const [sessions = 60_000, processes = 4, seconds = 60] = numbers.map(Number);
const each = Math.ceil(sessions / processes);
const load = fileURLToPath(new URL("../../bench/heartbeat/load.c", import.meta.url));
const program = fileURLToPath(new URL("heartbeat/deadpeer-parking.js", import.meta.url));

type Child = ChildProcessByStdio<Writable, Readable, null>;

/** A program that answers on its standard output, line by line. */
class Program {
  readonly #child: Child;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`${this.#child.spawnfile} ended too early`);
    return value;
  }

  async ask(line: string): Promise<Record<string, number>> {
    this.#child.stdin.write(`${line}\n`);
    return JSON.parse(await this.line()) as Record<string, number>;
  }

  /** Everybody is parked, and garbage is gone. */
  async collect(): Promise<void> {
    this.#child.kill("SIGUSR2");
    await this.line();
  }

  /** Of all threads, in milliseconds. */
  processorMs(): number {
    return readdirSync(`/proc/${this.pid}/task`)
      .map(
        (tid) => Number(readFileSync(`/proc/${this.pid}/task/${tid}/schedstat`, "utf8").split(" ")[0]) / 1e6,
      )
      .reduce((sum, ms) => sum + ms, 0);
  }

  residentBytes(): number {
    const kib = /^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${this.pid}/smaps_rollup`, "utf8"))?.[1];
    return Number(kib) * 1_024;
  }

  files(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exit;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Figures {
  readonly sessions: number;
  readonly processes: number;
  readonly acceptsPerSecond: number;
  /** Of one core, all servers together, in per cent: with beats, and with nobody saying anything. */
  readonly beatingPercent: number;
  readonly silentPercent: number;
  readonly beats: number;
  readonly usPerBeat: number;
  readonly bytesPerSession: { readonly connected: number; readonly atRest: number };
  readonly filesOfOne: number;
}

async function bench(folder: string, started: Program[]): Promise<Figures> {
  const client = join(folder, "load");
  execFileSync("gcc", ["-D_GNU_SOURCE", "-O2", "-o", client, load]);
  const begin = (command: string, args: readonly string[]): Program => {
    const one = new Program(command, args);
    started.push(one);
    return one;
  };
  const servers: [server: Program, port: number][] = [];
  for (let n = 0; n < processes; n++) {
    const port = await freePort();
    const server = begin(process.execPath, ["--expose-gc", program, String(port)]);
    await server.line();
    await server.collect();
    servers.push([server, port]);
  }
  const sum = (of: (server: Program) => number): number =>
    servers.reduce((total, [server]) => total + of(server), 0);
  const emptyBytes = sum((server) => server.residentBytes());
  const clients: Program[] = [];
  let connecting = 0;
  // One after the other: what is measured is not how they fight for two cores.
  for (const [, port] of servers) {
    const one = begin(client, [
      "deadpeer",
      String(port),
      String(each),
      ...clientBytes(beatEverySeconds * 1_000),
    ]);
    clients.push(one);
    connecting += (JSON.parse(await one.line()) as { seconds: number }).seconds;
  }
  await Promise.all(servers.map(([server]) => server.collect()));
  const bytesPerSession = (): number =>
    (sum((server) => server.residentBytes()) - emptyBytes) / (each * processes);
  const connected = bytesPerSession();

  const during = async (
    work: () => Promise<number>,
  ): Promise<{ percent: number; ms: number; beats: number }> => {
    const from = performance.now();
    const before = sum((server) => server.processorMs());
    const beats = await work();
    const ms = sum((server) => server.processorMs()) - before;
    return { percent: (ms / (performance.now() - from)) * 100, ms, beats };
  };
  const beating = await during(async () => {
    const answers = await Promise.all(
      clients.map((one) => one.ask(`beat ${Math.round(each / beatEverySeconds)} ${seconds}`)),
    );
    if (answers.some(({ ended = 0 }) => ended > 0)) throw new Error("a server closed a connection");
    return answers.reduce((total, { beats = 0 }) => total + beats, 0);
  });
  const silent = await during(async () => {
    await Promise.all(clients.map((one) => one.ask(`listen ${Math.min(10, seconds)}`)));
    return 0;
  });
  return {
    sessions: each * processes,
    processes,
    acceptsPerSecond: (each * processes) / connecting,
    beatingPercent: beating.percent,
    silentPercent: silent.percent,
    beats: beating.beats,
    usPerBeat: (beating.ms * 1_000) / beating.beats,
    bytesPerSession: { connected, atRest: bytesPerSession() },
    filesOfOne: servers[0]?.[0].files() ?? 0,
  };
}

const folder = mkdtempSync(join(tmpdir(), "deadpeer-sessions-"));
const started: Program[] = [];
try {
  const figures = await bench(folder, started);
  if (process.argv.includes("--json")) console.log(JSON.stringify(figures));
  else {
    const { acceptsPerSecond, beatingPercent, silentPercent, usPerBeat, bytesPerSession, filesOfOne } =
      figures;
    console.log(`${figures.sessions} sessions in ${processes} servers, ${filesOfOne} files in one of them`);
    console.log(`accepted and greeted: ${Math.round(acceptsPerSecond)} a second, one server at a time`);
    const [connected = "", atRest = ""] = [bytesPerSession.connected, bytesPerSession.atRest].map((bytes) =>
      (bytes / 1_024).toFixed(2),
    );
    console.log(
      `memory of a session: ${connected} KiB right after all have connected, ${atRest} KiB at rest`,
    );
    console.log(
      `one beat a session in ${beatEverySeconds} s: ${beatingPercent.toFixed(1)} % of a core in all, ${usPerBeat.toFixed(1)} us a beat`,
    );
    console.log(`nobody says anything: ${silentPercent.toFixed(2)} % of a core in all`);
  }
} finally {
  for (const one of started) await one.end();
  rmSync(folder, { recursive: true, force: true });
}
