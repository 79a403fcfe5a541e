// What a beat costs a heartbeat server, an accept its processor time and a connection its memory, beside others that do the same;
// and how late deadpeer's server notices that ten thousand clients were cut off at once.
//
//   npx tsc -p tsconfig.test.json && node .build/bench/heartbeat.js [--json] [--only deadpeer,ws,detection] [connections] [seconds] [rounds]
//
// Needs root, iproute2, nftables, gcc, mosquitto and redis-server; installs its peers into bench/heartbeat/peers. Server on one core,
// clients on the other, in a network namespace made and removed here, on Ctrl-C too. Before and after each server the C echo is
// measured, and its cost is the unit: these machines' speed drifts by more than what is compared.
import { newOwnedName } from "../src/kernel/owned-names.js";
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { clientBytes } from "./heartbeat/client-bytes.js";
import { type Spread, spreadOf } from "./spread.js";

const source = fileURLToPath(new URL("../../bench/heartbeat", import.meta.url));
const peers = join(source, "peers");
const compiled = fileURLToPath(new URL("heartbeat", import.meta.url));
/** The program itself, from the package of this processor's: what npm's `bun` puts before it comes from an install script. */
const bun = join(
  peers,
  `node_modules/@oven/bun-linux-${process.arch === "arm64" ? "aarch64" : "x64"}/bin/bun`,
);
const rate = 20_000;
const port = 7_040;

interface Contestant {
  readonly protocol: "raw" | "websocket" | "mqtt" | "engine.io" | "redis" | "deadpeer";
  readonly command: (folder: string, connections: number) => readonly string[];
  /** The server beats by itself: there is no "as fast as answers come". */
  readonly serverBeats?: true;
  /** It says neither that it listens nor that it has collected garbage. */
  readonly mute?: true;
}

const node = [process.execPath, "--expose-gc"];

const unit: Contestant = {
  protocol: "raw",
  command: (folder) => [join(folder, "echo"), String(port)],
  mute: true,
};

const contestants: Readonly<Record<string, Contestant>> = {
  "Node net echo": { protocol: "raw", command: () => [...node, join(peers, "net.js"), String(port)] },
  deadpeer: { protocol: "deadpeer", command: () => [...node, join(compiled, "deadpeer.js"), String(port)] },
  "deadpeer parking": {
    protocol: "deadpeer",
    command: () => [...node, join(compiled, "deadpeer-parking.js"), String(port)],
  },
  "Bun WebSocket": {
    protocol: "websocket",
    command: () => [bun, join(peers, "bun.js"), String(port)],
  },
  mosquitto: {
    protocol: "mqtt",
    command: (folder) => ["mosquitto", "-c", mosquittoConfig(folder)],
    mute: true,
  },
  redis: {
    protocol: "redis",
    command: (_folder, connections) =>
      [
        "redis-server",
        "--port",
        String(port),
        "--save",
        "",
        "--maxclients",
        String(connections + 100),
      ].concat(["--tcp-backlog", "4096", "--daemonize", "no", "--protected-mode", "no"]),
    mute: true,
  },
  ws: { protocol: "websocket", command: () => [...node, join(peers, "ws.js"), String(port)] },
  aedes: { protocol: "mqtt", command: () => [...node, join(peers, "aedes.js"), String(port)] },
  "engine.io": {
    protocol: "engine.io",
    command: (_folder, connections) => {
      const interval = Math.round((connections * 1_000) / rate);
      return [...node, join(peers, "engine-io.js"), String(port), String(interval)];
    },
    serverBeats: true,
  },
};

/** Of one server, once. */
interface Measured {
  /** The server's processor time for each beat, at `rate` beats a second. */
  readonly usAtRate: number;
  readonly beatsAtRate: number;
  /** null where the server beats by itself. */
  readonly usFlatOut: number | null;
  readonly beatsFlatOut: number | null;
  /** The server's processor time for each connection until it is greeted: the first ones of its life, and others once it is warm. */
  readonly usAccept: number;
  readonly acceptsPerSecond: number;
  readonly usAcceptWarm: number;
  readonly acceptsPerSecondWarm: number;
  /** What the process holds more for each connection: right after connecting, and after the load. */
  readonly bytesConnected: number;
  readonly bytesLoaded: number;
}

type Timed = "usAtRate" | "usFlatOut" | "usAccept" | "usAcceptWarm";

/** How late sessions are given up that were all cut off at once, in milliseconds; below zero: too early. */
interface Detection {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly leastMs: number;
  readonly mostMs: number;
  /** Given up by something else than their heartbeats. */
  readonly otherwise: number;
  /** For how long, in all, the server could have run but something else had its core. */
  readonly waitedMs: number;
}

class Bench {
  readonly #namespace: string;
  readonly #folder: string;
  readonly #connections: number;
  readonly #seconds: number;
  readonly #children = new Set<Child>();
  #stopped = false;

  constructor(namespace: string, folder: string, connections: number, seconds: number) {
    this.#namespace = namespace;
    this.#folder = folder;
    this.#connections = connections;
    this.#seconds = seconds;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Whoever waits for one of them then learns that it has ended. */
  stop(): void {
    this.#stopped = true;
    for (const child of this.#children) child.kill("SIGKILL");
  }

  async measure(contestant: Contestant): Promise<Measured> {
    const [server, said] = this.#start(0, contestant.command(this.#folder, this.#connections));
    const pid = server.pid ?? 0;
    try {
      await listening(server, contestant, said);
      const collect = async (): Promise<void> => {
        if (contestant.mute === true) return;
        server.kill("SIGUSR2");
        await lineOf(server, said);
      };
      await collect();
      const empty = residentBytes(pid);
      const first = await this.#connect(contestant, pid);
      const { load, answers } = first;
      try {
        await collect();
        const connected = residentBytes(pid);
        const ask = async (command: string): Promise<LoadAnswer> => {
          load.stdin.write(`${command}\n`);
          return await answerOf(load, answers);
        };
        const timed = async (command: string): Promise<{ us: number; beats: number }> => {
          const start = processorUs(pid);
          const { beats, ended, seconds: took } = await ask(command);
          if (ended > 0) throw new Error(`the server closed ${ended} connections`);
          return { us: (processorUs(pid) - start) / beats, beats: beats / took };
        };
        // Warm before it counts.
        const begin = contestant.serverBeats === true ? "listen" : `beat ${rate}`;
        await ask(`${begin} 2`);
        const atRate = await timed(`${begin} ${this.#seconds}`);
        if (contestant.serverBeats !== true) await ask("beat 0 1");
        const flatOut = contestant.serverBeats === true ? null : await timed(`beat 0 ${this.#seconds}`);
        await collect();
        const loaded = residentBytes(pid);
        await this.#end(load);
        const warm = await this.#connectAgain(contestant, pid);
        const each = (bytes: number): number => (bytes - empty) / this.#connections;
        return {
          usAtRate: atRate.us,
          beatsAtRate: atRate.beats,
          usFlatOut: flatOut?.us ?? null,
          beatsFlatOut: flatOut?.beats ?? null,
          usAccept: first.us,
          acceptsPerSecond: first.perSecond,
          usAcceptWarm: warm.us,
          acceptsPerSecondWarm: warm.perSecond,
          bytesConnected: each(connected),
          bytesLoaded: each(loaded),
        };
      } finally {
        await this.#end(load);
      }
    } finally {
      await this.#end(server);
    }
  }

  /** All clients connect and are greeted. */
  async #connect({ protocol }: Contestant, pid: number): Promise<Connecting> {
    const beforeUs = processorUs(pid);
    const [load, answers] = this.#start(1, this.#clients(protocol, 3_600_000));
    try {
      const { seconds } = await answerOf(load, answers);
      const us = (processorUs(pid) - beforeUs) / this.#connections;
      return { load, answers, us, perSecond: this.#connections / seconds };
    } catch (error) {
      await this.#end(load);
      throw error;
    }
  }

  /** After the clients have gone, the second time for good measure: by then compilers have finished what the first start set off. */
  async #connectAgain(contestant: Contestant, pid: number): Promise<Connecting> {
    await noneOf(pid, this.#connections);
    const second = await this.#connect(contestant, pid);
    await this.#end(second.load);
    await noneOf(pid, this.#connections);
    const third = await this.#connect(contestant, pid);
    await this.#end(third.load);
    return third;
  }

  /**
   * Clients that beat and then are gone, program and network, at a moment that they themselves have noted. A session is due when its
   * phase, idle time, interval and count say so, counted from its client's last beat.
   */
  async detect(): Promise<Detection> {
    const words = [...node, join(compiled, "detection.js"), String(port), String(this.#connections)];
    const [server, said] = this.#start(0, words);
    try {
      await lineOf(server, said);
      const [load, answers] = this.#start(1, this.#clients("deadpeer", 1_000));
      try {
        await answerOf(load, answers);
        load.stdin.write(`beat ${rate} 3\n`);
        const { ended } = await answerOf(load, answers);
        if (ended > 0) throw new Error(`the server closed ${ended} connections`);
        const givenUp = lineOf(server, said);
        const waitedBeforeMs = waitedMs(server.pid ?? 0);
        load.stdin.write("silence\n");
        const lastBeats = new Map(JSON.parse(await lineOf(load, answers)) as [port: number, atNs: string][]);
        const dropped =
          "add table ip cut; add chain ip cut in { type filter hook input priority 0; policy drop; }";
        const nft = ["netns", "exec", this.#namespace, "nft"];
        execFileSync("ip", [...nft, dropped]);
        try {
          const sessions = JSON.parse(await givenUp) as [number, string, number, string][];
          const waited = waitedMs(server.pid ?? 0) - waitedBeforeMs;
          return { ...detectionOf(sessions, lastBeats), waitedMs: waited };
        } finally {
          execFileSync("ip", [...nft, "delete table ip cut"]);
        }
      } finally {
        await this.#end(load);
      }
    } finally {
      await this.#end(server);
    }
  }

  #clients(protocol: Contestant["protocol"], sendEveryMs: number): string[] {
    const words = [join(this.#folder, "load"), protocol, String(port), String(this.#connections)];
    return protocol === "deadpeer" ? [...words, ...clientBytes(sendEveryMs)] : words;
  }

  #start(core: number, command: readonly string[]): [Child, Interface] {
    if (this.#stopped) throw new Error("stopped");
    const words = ["netns", "exec", this.#namespace, "taskset", "-c", String(core), ...command];
    const child = spawn("ip", words, { stdio: ["pipe", "pipe", "inherit"], cwd: this.#folder });
    // Words to one that was just ended.
    child.stdin.on("error", () => {});
    this.#children.add(child);
    return [child, createInterface(child.stdout)];
  }

  async #end(child: Child): Promise<void> {
    this.#children.delete(child);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }
}

function detectionOf(
  sessions: readonly [port: number, atNs: string, dueMs: number, timer: string][],
  lastBeats: ReadonlyMap<number, string>,
): Omit<Detection, "waitedMs"> {
  const late = sessions
    .map(([port, atNs, dueMs]) => Number(BigInt(atNs) - BigInt(lastBeats.get(port) ?? 0)) / 1e6 - dueMs)
    .sort((a, b) => a - b);
  const at = (part: number): number => late[Math.floor((late.length - 1) * part)] ?? Number.NaN;
  const otherwise = sessions.filter(([, , , timer]) => timer !== "heartbeat").length;
  return { p50Ms: at(0.5), p99Ms: at(0.99), leastMs: at(0), mostMs: at(1), otherwise };
}

interface Connecting {
  readonly load: Child;
  readonly answers: Interface;
  /** Of the server's processor time, for each. */
  readonly us: number;
  readonly perSecond: number;
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

interface LoadAnswer {
  readonly seconds: number;
  readonly beats: number;
  readonly ended: number;
}

async function answerOf(load: Child, lines: Interface): Promise<LoadAnswer> {
  return JSON.parse(await lineOf(load, lines)) as LoadAnswer;
}

async function lineOf(child: Child, lines: Interface): Promise<string> {
  const settled = new AbortController();
  const { signal } = settled;
  try {
    const [line] = (await Promise.race([
      once(lines, "line", { signal }),
      once(child, "exit", { signal }).then(() => {
        throw new Error(`${child.spawnargs.slice(6).join(" ")} ended too early`);
      }),
    ])) as [string];
    return line;
  } finally {
    settled.abort();
  }
}

/** Until a server listens: ours say so, others are asked by the kernel's table of listeners. */
async function listening(server: Child, { mute }: Contestant, said: Interface): Promise<void> {
  if (mute !== true) {
    await lineOf(server, said);
    return;
  }
  const hex = `:${port.toString(16).toUpperCase()} `;
  for (let tries = 0; tries < 500; tries++) {
    if (server.exitCode !== null || server.signalCode !== null) throw new Error("the server ended too early");
    const table = readFileSync(`/proc/${server.pid}/net/tcp`, "utf8");
    if (table.split("\n").some((line) => line.includes(hex) && line.includes(" 0A "))) return;
    await sleep(20);
  }
  throw new Error("the server does not listen");
}

/** Until a server has closed what so many clients left behind. */
async function noneOf(pid: number, connections: number): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (readdirSync(`/proc/${pid}/fd`).length < connections / 10) return;
    await sleep(20);
  }
  throw new Error("the server keeps connections of clients that have ended");
}

/** Of all threads; schedstat counts nanoseconds where stat has ticks. */
function processorUs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((tid) => Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8").split(" ")[0]) / 1_000)
    .reduce((sum, us) => sum + us, 0);
}

/** Of the main thread, as schedstat has it. */
function waitedMs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[1]) / 1e6;
}

function residentBytes(pid: number): number {
  const kib = /^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
  return Number(kib) * 1_024;
}

function mosquittoConfig(folder: string): string {
  const path = join(folder, "mosquitto.conf");
  writeFileSync(path, `listener ${port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_type error\n`);
  return path;
}

function prepare(folder: string): void {
  for (const program of ["echo", "load"])
    execFileSync("gcc", ["-D_GNU_SOURCE", "-O2", "-o", join(folder, program), join(source, `${program}.c`)]);
  if (!existsSync(bun))
    execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: peers,
      stdio: ["ignore", 2, 2],
    });
}

/** A server, and the C echo before and after it. */
interface Compared {
  readonly own: Measured;
  readonly around: readonly [Measured, Measured];
}

/** Medians over the rounds; ratios are to the C echo around the same measurement. */
interface Figures {
  readonly name: string;
  readonly atRate: Cost;
  readonly flatOut: Cost | null;
  readonly accept: Cost;
  readonly acceptsPerSecond: number;
  readonly acceptWarm: Cost;
  readonly acceptsPerSecondWarm: number;
  readonly bytesConnected: number;
  readonly bytesLoaded: number;
}

interface Cost {
  readonly us: number;
  readonly ratio: Spread;
}

function figuresOf(name: string, rounds: readonly Compared[]): Figures {
  const middle = (take: (own: Measured) => number): number =>
    spreadOf(rounds.map(({ own }) => take(own))).median;
  const cost = (of: Timed): Cost => ({
    us: middle((own) => own[of] ?? Number.NaN),
    ratio: spreadOf(
      rounds.map(({ own, around: [before, after] }) => {
        const unitUs = ((before[of] ?? Number.NaN) + (after[of] ?? Number.NaN)) / 2;
        return (own[of] ?? Number.NaN) / unitUs;
      }),
    ),
  });
  return {
    name,
    atRate: cost("usAtRate"),
    flatOut: rounds.every(({ own }) => own.usFlatOut !== null) ? cost("usFlatOut") : null,
    accept: cost("usAccept"),
    acceptsPerSecond: middle((own) => own.acceptsPerSecond),
    acceptWarm: cost("usAcceptWarm"),
    acceptsPerSecondWarm: middle((own) => own.acceptsPerSecondWarm),
    bytesConnected: middle((own) => own.bytesConnected),
    bytesLoaded: middle((own) => own.bytesLoaded),
  };
}

function costText(cost: Cost | null): string {
  if (cost === null) return "-";
  const { median, min, max } = cost.ratio;
  return `${cost.us.toFixed(1)} us, ${median.toFixed(2)} (${min.toFixed(2)}..${max.toFixed(2)})`;
}

function kib(bytes: number): string {
  return (bytes / 1_024).toFixed(1);
}

function print(all: readonly Figures[]): void {
  const head = [
    "beat at 20 000/s",
    "beat flat out",
    "accept and greeting",
    "accepts/s",
    "the same, warm",
    "accepts/s",
    "KiB each",
    "loaded",
  ];
  const widths = [26, 26, 28, 9, 28, 9, 8, 6];
  const row = (name: string, cells: readonly string[]): string =>
    [name.padEnd(14), ...cells.map((cell, index) => cell.padEnd(widths[index] ?? 0))].join("  ").trimEnd();
  console.log(row("", head));
  for (const figures of all)
    console.log(
      row(figures.name, [
        costText(figures.atRate),
        costText(figures.flatOut),
        costText(figures.accept),
        figures.acceptsPerSecond.toFixed(0),
        costText(figures.acceptWarm),
        figures.acceptsPerSecondWarm.toFixed(0),
        kib(figures.bytesConnected),
        kib(figures.bytesLoaded),
      ]),
    );
}

/** What the project has promised itself, against the bare echo of the same run. */
function printGoals(own: Figures, bare: Figures): void {
  const against = (of: (figures: Figures) => number): string => (of(own) / of(bare)).toFixed(2);
  console.log(
    [
      `deadpeer against the bare Node echo: a beat at 20 000/s ${against(({ atRate }) => atRate.ratio.median)}`,
      `flat out ${against(({ flatOut }) => flatOut?.ratio.median ?? Number.NaN)} (goal: 1.1)`,
      `an accept ${against(({ accept }) => accept.ratio.median)}, warm ${against(({ acceptWarm }) => acceptWarm.ratio.median)} (goal: 1.2)`,
      `${kib(own.bytesConnected - bare.bytesConnected)} KiB more a connection, ${kib(own.bytesLoaded - bare.bytesLoaded)} after load (goal: 1)`,
    ].join(", "),
  );
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function printDetection(
  { p50Ms, p99Ms, leastMs, mostMs, otherwise, waitedMs }: Detection,
  connections: number,
): void {
  console.log(
    `${connections} sessions cut off at once, given up late by: p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)} (goal: under 100 ms), ` +
      `least ${ms(leastMs)}, most ${ms(mostMs)}; ${otherwise} not by their heartbeats; the server waited ${ms(waitedMs)} for its core`,
  );
}

interface Options {
  /** Servers; none: only detection. */
  readonly names: readonly string[];
  readonly detects: boolean;
  readonly connections: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly json: boolean;
}

async function run(
  bench: Bench,
  { names, detects, connections, rounds, seconds, json }: Options,
): Promise<void> {
  const compared = new Map<string, Compared[]>(names.map((name) => [name, []]));
  const units: Compared[] = [];
  const detections: Detection[] = [];
  for (let round = 0; round < rounds; round++) {
    let before = names.length === 0 ? null : await bench.measure(unit);
    for (const name of names) {
      const own = await bench.measure(contestants[name] as Contestant);
      const after = await bench.measure(unit);
      const around = [before ?? after, after] as const;
      compared.get(name)?.push({ own, around });
      units.push({ own: after, around });
      before = after;
      console.error(`round ${round + 1}: ${name}`);
    }
    if (detects) detections.push(await bench.detect());
  }
  const all = [figuresOf("C echo", units), ...names.map((name) => figuresOf(name, compared.get(name) ?? []))];
  if (json) {
    console.log(JSON.stringify({ connections, servers: all, detections }));
    return;
  }
  if (names.length > 0) {
    console.log(
      `${connections} connections, ${rounds} rounds of ${seconds} s: medians, and as ratios to the C echo around each (least..most)`,
    );
    print(all);
  }
  const own = all.find(({ name }) => name === "deadpeer");
  const bare = all.find(({ name }) => name === "Node net echo");
  if (own !== undefined && bare !== undefined) printGoals(own, bare);
  for (const detection of detections) printDetection(detection, connections);
}

async function main(options: Options): Promise<void> {
  const namespace = newOwnedName("lab");
  const folder = mkdtempSync(join(tmpdir(), "dp-bench-"));
  const bench = new Bench(namespace, folder, options.connections, options.seconds);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => bench.stop());
  execFileSync("ip", ["netns", "add", namespace]);
  try {
    prepare(folder);
    execFileSync("ip", ["-n", namespace, "link", "set", "lo", "up"]);
    const sysctls = ["net.ipv4.ip_local_port_range=10000 65000", "net.ipv4.tcp_congestion_control=reno"];
    execFileSync("ip", ["netns", "exec", namespace, "sysctl", "-qw", ...sysctls, "net.core.somaxconn=4096"]);
    await run(bench, options);
  } catch (error) {
    if (!bench.stopped) throw error;
    process.exitCode = 130;
  } finally {
    execFileSync("ip", ["netns", "delete", namespace]);
    rmSync(folder, { recursive: true, force: true });
  }
}

const words = process.argv.slice(2);
const only = words.includes("--only") ? words[words.indexOf("--only") + 1]?.split(",") : undefined;
const known = [...Object.keys(contestants), "detection"];
const unknown = only?.find((name) => !known.includes(name));
if (unknown !== undefined) throw new Error(`there is no ${unknown}; there are ${known.join(", ")}`);
const [connections = 10_000, seconds = 3, rounds = 3] = words
  .filter((word) => /^\d+$/.test(word))
  .map(Number);
await main({
  names: Object.keys(contestants).filter((name) => only === undefined || only.includes(name)),
  detects: only?.includes("detection") ?? true,
  connections,
  seconds,
  rounds,
  json: words.includes("--json"),
});
