// What a governor costs Node's http server: requests per second, memory for each connection, processor time while very many
// connections are idle; and how exactly it keeps to its idle limit.
//
//   npx tsc -p tsconfig.test.json && node .build/bench/governor.js [--json] [--only load,held,accuracy] [connections] [rounds] [seconds]
//
// Needs root, iproute2, gcc and Debian's wrk. Server on one core, clients on the other, in a network namespace made and removed here,
// on Ctrl-C too. Bare and governed servers take turns, each round in another order; a second bare
// server in each round shows what is noise.
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { inNamespace, namespaceAt } from "../src/kernel/namespaces.js";
import { newOwnedName } from "../src/kernel/owned-names.js";
import type { ServerAnswer } from "./governor/messages.js";
import { type Spread, spreadOf } from "./spread.js";

const source = fileURLToPath(new URL("../../bench/governor", import.meta.url));
const compiled = fileURLToPath(new URL("governor/server.js", import.meta.url));
/** Of wrk, which asks on each as soon as it has been answered. */
const busyConnections = 1_000;
/** For this the accuracy of the idle limit is looked at. */
const idleMs = 15_000;
const idleWindowMs = 10_000;
const settleMs = 12_000;

const kinds = ["bare", "governed", "bare again"] as const;
type Kind = (typeof kinds)[number];

interface Load {
  readonly perSecond: number;
  /** Processor time of the server's for each request. */
  readonly usEach: number;
  /** wrk's connections that failed, and answers that were none. */
  readonly failed: number;
}

interface Held {
  /** What each connection adds to the process, and to V8's heap with what hangs on it. */
  readonly residentBytes: number;
  readonly heapBytes: number;
  /** Of the server's, in thousandths of a core, while all is idle. */
  readonly idlePermille: number;
  /** How often it woke up meanwhile, a second. */
  readonly wakeups: number;
}

interface Accuracy {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly leastMs: number;
  readonly mostMs: number;
  readonly ended: number;
}

const parts = ["load", "held", "accuracy"] as const;
type Part = (typeof parts)[number];

interface Options {
  readonly parts: readonly Part[];
  readonly connections: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly json: boolean;
}

class Bench {
  readonly #namespace: string;
  readonly #folder: string;
  readonly #children = new Set<ChildProcess>();
  #stopped = false;

  constructor(namespace: string, folder: string) {
    this.#namespace = namespace;
    this.#folder = folder;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  stop(): void {
    this.#stopped = true;
    for (const child of this.#children) child.kill("SIGKILL");
  }

  /** All servers at once, of which one is asked at a time: what else the machine does then meets all of them. */
  async load(rounds: number, seconds: number): Promise<Record<Kind, Load>[]> {
    await using bare = await this.#serve("bare");
    await using governed = await this.#serve("governed");
    await using again = await this.#serve("bare again");
    const servers = { bare, governed, "bare again": again };
    // Code is compiled before it counts.
    for (const kind of kinds) await this.#wrk(servers[kind].port, 2);
    return await inTurns(rounds, "load", async (kind) => {
      const { port, pid } = servers[kind];
      const beforeUs = processorUs(pid);
      const { requests, perSecond, failed } = await this.#wrk(port, seconds);
      return { perSecond, usEach: (processorUs(pid) - beforeUs) / requests, failed };
    });
  }

  async held(kind: Kind, connections: number): Promise<Held> {
    await using server = await this.#serve(kind);
    const empty = { resident: residentBytes(server.pid), heap: await server.heapBytes() };
    await using holding = await this.#hold(server.port, connections);
    const heap = await server.heapBytes();
    const resident = residentBytes(server.pid);
    // Each is looked at once more when the time for its head is over; then nothing is left to do.
    await sleep(settleMs);
    const [beforeUs, beforeWakeups] = [processorUs(server.pid), wakeupsOf(server.pid)];
    await sleep(idleWindowMs);
    const us = processorUs(server.pid) - beforeUs;
    const wakeups = wakeupsOf(server.pid) - beforeWakeups;
    holding.child.stdin?.end();
    return {
      residentBytes: (resident - empty.resident) / connections,
      heapBytes: (heap - empty.heap) / connections,
      idlePermille: us / idleWindowMs,
      wakeups: (wakeups * 1_000) / idleWindowMs,
    };
  }

  /** How late, against its answer and the limit, each of very many idle connections is ended; below zero: too early. */
  async accuracy(connections: number): Promise<Accuracy> {
    await using server = await this.#serve("governed", `${idleMs}ms`);
    await using holding = await this.#hold(server.port, connections);
    const tooLate = setTimeout(() => holding.child.stdin?.end(), 2 * idleMs);
    const late: number[] = [];
    for await (const line of holding.lines) {
      if (line === "end") break;
      late.push(Number(line) - idleMs);
    }
    clearTimeout(tooLate);
    late.sort((a, b) => a - b);
    const at = (part: number): number => late[Math.floor((late.length - 1) * part)] ?? Number.NaN;
    return { p50Ms: at(0.5), p99Ms: at(0.99), leastMs: at(0), mostMs: at(1), ended: late.length };
  }

  async #serve(kind: Kind, idle = "10m"): Promise<Served> {
    const words = ["--expose-gc", compiled, kind === "governed" ? "governed" : "bare", idle];
    const child = this.#start(0, [process.execPath, ...words], ["ignore", "inherit", "inherit", "ipc"]);
    const [{ port }] = (await messageOf(child)) as [{ port: number }];
    return {
      port,
      pid: child.pid ?? 0,
      heapBytes: async () => {
        child.send("collect");
        const [{ heapBytes }] = (await messageOf(child)) as [{ heapBytes: number }];
        return heapBytes;
      },
      [Symbol.asyncDispose]: () => this.#end(child),
    };
  }

  /** Resolves when all are connected and answered. */
  async #hold(port: number, connections: number): Promise<Holding> {
    // About 3 000 a second: what the accept queue takes without dropping any.
    const words = ["127.0.0.1", String(port), String(connections), String(connections / 3_000)];
    const child = this.#start(1, [join(this.#folder, "hold"), ...words], ["pipe", "pipe", "inherit"]);
    if (child.stdout === null) throw new Error("a program without output");
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const { value } = await lines.next();
    if (value !== `held ${connections}`) throw new Error(`the clients said "${value}"`);
    return { child, lines, [Symbol.asyncDispose]: () => this.#end(child) };
  }

  async #wrk(
    port: number,
    seconds: number,
  ): Promise<{ requests: number; perSecond: number; failed: number }> {
    const words = ["-t1", `-c${busyConnections}`, `-d${seconds}s`, `http://127.0.0.1:${port}/`];
    const all = ["netns", "exec", this.#namespace, "taskset", "-c", "1", "wrk", ...words];
    const running = promisify(execFile)("ip", all);
    this.#children.add(running.child);
    const { stdout } = await running;
    this.#children.delete(running.child);
    const figure = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? 0);
    const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout);
    return {
      requests: figure(/(\d+) requests in/),
      perSecond: figure(/Requests\/sec:\s+([\d.]+)/),
      failed:
        figure(/Non-2xx or 3xx responses: (\d+)/) +
        (socketErrors ?? []).slice(1).reduce((sum, count) => sum + Number(count), 0),
    };
  }

  #start(
    core: number,
    command: readonly string[],
    stdio: ("ignore" | "inherit" | "ipc" | "pipe")[],
  ): ChildProcess {
    if (this.#stopped) throw new Error("stopped");
    const child = inNamespace(namespaceAt(this.#namespace), () =>
      spawn("taskset", ["-c", String(core), ...command], { stdio }),
    );
    this.#children.add(child);
    return child;
  }

  async #end(child: ChildProcess): Promise<void> {
    this.#children.delete(child);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }
}

interface Served extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  heapBytes(): Promise<number>;
}

interface Holding extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly lines: AsyncIterableIterator<string>;
}

async function messageOf(child: ChildProcess): Promise<[ServerAnswer]> {
  const settled = new AbortController();
  const { signal } = settled;
  try {
    return (await Promise.race([
      once(child, "message", { signal }),
      once(child, "exit", { signal }).then(() => {
        throw new Error("the server ended too early");
      }),
    ])) as [ServerAnswer];
  } finally {
    settled.abort();
  }
}

/** Of all threads; schedstat counts nanoseconds where stat has ticks. */
function processorUs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((tid) => Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8").split(" ")[0]) / 1_000)
    .reduce((sum, us) => sum + us, 0);
}

function wakeupsOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
}

function residentBytes(pid: number): number {
  const kib = /^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
  return Number(kib) * 1_024;
}

/** Of a figure, over the rounds: for each kind, and as differences or ratios to the bare server of the same round. */
interface Compared {
  readonly of: Readonly<Record<Kind, Spread>>;
  readonly ratio: Readonly<Record<Kind, Spread>>;
  readonly more: Readonly<Record<Kind, Spread>>;
}

function compared<T>(rounds: readonly Readonly<Record<Kind, T>>[], take: (figures: T) => number): Compared {
  const each = (figure: (round: Readonly<Record<Kind, T>>, kind: Kind) => number): Record<Kind, Spread> => {
    const spread = (kind: Kind): Spread => spreadOf(rounds.map((round) => figure(round, kind)));
    return { bare: spread("bare"), governed: spread("governed"), "bare again": spread("bare again") };
  };
  return {
    of: each((round, kind) => take(round[kind])),
    ratio: each((round, kind) => take(round[kind]) / take(round.bare)),
    more: each((round, kind) => take(round[kind]) - take(round.bare)),
  };
}

async function inTurns<T>(
  count: number,
  name: string,
  measure: (kind: Kind) => Promise<T>,
): Promise<Record<Kind, T>[]> {
  const all: Record<Kind, T>[] = [];
  for (let round = 0; round < count; round++) {
    const figures = new Map<Kind, T>();
    // Each round begins with another one.
    for (let turn = 0; turn < kinds.length; turn++) {
      const kind = kinds[(round + turn) % kinds.length] as Kind;
      figures.set(kind, await measure(kind));
      console.error(`${name}, round ${round + 1}: ${kind}`);
    }
    all.push(Object.fromEntries(figures) as Record<Kind, T>);
  }
  return all;
}

function text({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}..${max.toFixed(digits)})`;
}

function table(head: readonly string[], rows: (kind: Kind) => readonly string[]): void {
  const all = [["", ...head], ...kinds.map((kind) => [kind, ...rows(kind)])];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of all)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

async function run(bench: Bench, options: Options): Promise<void> {
  const { connections, seconds, json } = options;
  const does = (part: Part): boolean => options.parts.includes(part);
  const load = does("load") ? await bench.load(options.rounds, seconds) : [];
  const held = does("held")
    ? await inTurns(Math.min(3, options.rounds), "held", (kind) => bench.held(kind, connections))
    : [];
  const accuracy = does("accuracy") ? await bench.accuracy(connections) : null;
  if (json) {
    console.log(JSON.stringify({ connections, load, held, accuracy }));
    return;
  }
  if (load.length > 0) {
    const perSecond = compared(load, (figures) => figures.perSecond);
    const usEach = compared(load, (figures) => figures.usEach);
    const failed = load
      .flatMap((round) => kinds.map((kind) => round[kind].failed))
      .reduce((a, b) => a + b, 0);
    console.log(
      `wrk, ${busyConnections} connections, keep-alive, ${load.length} rounds of ${seconds} s: medians (least..most), ratios to the bare server of the same round; ${failed} requests failed`,
    );
    table(["requests/s", "ratio", "us each", "ratio"], (kind) => [
      text(perSecond.of[kind], 0),
      text(perSecond.ratio[kind], 3),
      text(usEach.of[kind], 1),
      text(usEach.ratio[kind], 3),
    ]);
  }
  if (held.length > 0) {
    const heap = compared(held, (figures) => figures.heapBytes);
    const resident = compared(held, (figures) => figures.residentBytes);
    const idle = compared(held, (figures) => figures.idlePermille);
    const wakeups = compared(held, (figures) => figures.wakeups);
    console.log(
      `\n${connections} connections that have been answered once and are idle, ${held.length} rounds: for each, and more than the bare server's`,
    );
    table(["heap bytes", "more", "resident bytes", "more", "1/1000 core", "more", "wake-ups/s"], (kind) => [
      text(heap.of[kind], 0),
      text(heap.more[kind], 0),
      text(resident.of[kind], 0),
      text(resident.more[kind], 0),
      text(idle.of[kind], 2),
      text(idle.more[kind], 2),
      text(wakeups.of[kind], 1),
    ]);
  }
  if (accuracy !== null) {
    const { p50Ms, p99Ms, leastMs, mostMs, ended } = accuracy;
    console.log(
      `\nidle limit of ${idleMs / 1_000} s, ${ended} of ${connections} connections ended, late by: p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)} (goal: under 1 s), least ${ms(leastMs)}, most ${ms(mostMs)}`,
    );
  }
}

async function main(options: Options): Promise<void> {
  const namespace = newOwnedName("lab");
  const folder = mkdtempSync(join(tmpdir(), "dp-bench-"));
  const bench = new Bench(namespace, folder);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => bench.stop());
  execFileSync("ip", ["netns", "add", namespace]);
  try {
    execFileSync("gcc", ["-D_GNU_SOURCE", "-O2", "-o", join(folder, "hold"), join(source, "hold.c")]);
    execFileSync("ip", ["-n", namespace, "link", "set", "lo", "up"]);
    const sysctls = ["net.ipv4.ip_local_port_range=10000 65000", "net.ipv4.tcp_congestion_control=reno"];
    execFileSync("ip", ["netns", "exec", namespace, "sysctl", "-qw", ...sysctls, "net.core.somaxconn=4096"]);
    await run(bench, options);
  } catch (error) {
    if (!bench.stopped) throw error;
    process.exitCode = 130;
  } finally {
    bench.stop();
    execFileSync("ip", ["netns", "delete", namespace]);
    rmSync(folder, { recursive: true, force: true });
  }
}

const words = process.argv.slice(2);
const only = words.includes("--only") ? words[words.indexOf("--only") + 1]?.split(",") : undefined;
const unknown = only?.find((name) => !parts.some((part) => part === name));
if (unknown !== undefined) throw new Error(`there is no ${unknown}; there are ${parts.join(", ")}`);
const [connections = 15_000, roundCount = 20, seconds = 2] = words
  .filter((word) => /^\d+$/.test(word))
  .map(Number);
await main({
  parts: parts.filter((part) => only === undefined || only.includes(part)),
  connections,
  rounds: roundCount,
  seconds,
  json: words.includes("--json"),
});
