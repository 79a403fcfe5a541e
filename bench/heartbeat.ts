// What a beat costs a heartbeat server, and a connection its memory, beside others that do the same.
//
//   npx tsc -p tsconfig.test.json && node .build/bench/heartbeat.js [--json] [--only net,ws] [connections] [seconds]
//
// Needs root, iproute2, gcc and mosquitto; installs its peers into bench/heartbeat/peers. Server on one core, clients on the other,
// in a network namespace made and removed here. Around each server the C echo is measured, and its cost is the unit: these machines'
// speed drifts by more than what is compared.
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

const contestants: Readonly<Record<string, Contestant>> = {
  "C echo": { protocol: "raw", command: (folder) => [join(folder, "echo"), String(port)], mute: true },
  "Node net echo": { protocol: "raw", command: () => [...node, join(peers, "net.js"), String(port)] },
  deadpeer: { protocol: "deadpeer", command: () => [...node, join(compiled, "deadpeer.js"), String(port)] },
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

interface Figures {
  readonly name: string;
  /** The server's processor time for each beat, at `rate` beats a second. */
  readonly usAtRate: number;
  /** The same as a share of what the C echo took just before and after. */
  readonly ratioAtRate: number;
  readonly beatsAtRate: number;
  readonly usFlatOut: number | null;
  readonly ratioFlatOut: number | null;
  readonly beatsFlatOut: number | null;
  readonly acceptsPerSecond: number;
  /** What the process holds more for each connection: right after connecting, and after the load. */
  readonly bytesConnected: number | null;
  readonly bytesLoaded: number | null;
}

type Raw = Omit<Figures, "ratioAtRate" | "ratioFlatOut">;

class Bench {
  readonly #namespace: string;
  readonly #folder: string;
  readonly #connections: number;
  readonly #seconds: number;

  constructor(namespace: string, folder: string, connections: number, seconds: number) {
    this.#namespace = namespace;
    this.#folder = folder;
    this.#connections = connections;
    this.#seconds = seconds;
  }

  async compare(name: string): Promise<Figures> {
    const before = await this.measure("C echo");
    const figures = await this.measure(name);
    const after = await this.measure("C echo");
    const unit = (of: "usAtRate" | "usFlatOut"): number => ((before[of] ?? 0) + (after[of] ?? 0)) / 2;
    return {
      ...figures,
      ratioAtRate: figures.usAtRate / unit("usAtRate"),
      ratioFlatOut: figures.usFlatOut === null ? null : figures.usFlatOut / unit("usFlatOut"),
    };
  }

  async measure(name: string): Promise<Raw> {
    const contestant = contestants[name];
    if (contestant === undefined) throw new Error(`there is no ${name}`);
    const [server, said] = this.#start(0, contestant.command(this.#folder, this.#connections));
    const pid = server.pid ?? 0;
    try {
      await listening(server, contestant, said);
      const collect = async (): Promise<void> => {
        if (contestant.mute === true) return;
        server.kill("SIGUSR2");
        await once(said, "line");
      };
      await collect();
      const empty = residentBytes(pid);
      const words = [contestant.protocol, String(port), String(this.#connections)];
      if (contestant.protocol === "deadpeer") words.push(...clientBytes());
      const [load, answers] = this.#start(1, [join(this.#folder, "load"), ...words]);
      try {
        const ask = async (command: string): Promise<LoadAnswer> => {
          load.stdin.write(`${command}\n`);
          return await answerOf(load, answers);
        };
        const { seconds } = await answerOf(load, answers);
        await collect();
        const connected = residentBytes(pid);
        const timed = async (command: string): Promise<{ us: number; beats: number }> => {
          const start = processorUs(pid);
          const { beats, ended, seconds: took } = await ask(command);
          if (ended > 0) throw new Error(`${name} closed ${ended} connections`);
          return { us: (processorUs(pid) - start) / beats, beats: beats / took };
        };
        // Warm before it counts.
        const begin = contestant.serverBeats === true ? "listen" : `beat ${rate}`;
        await ask(`${begin} 2`);
        const atRate = await timed(`${begin} ${this.#seconds}`);
        if (contestant.serverBeats !== true) await ask("beat 0 1");
        const flatOut = contestant.serverBeats === true ? null : await timed(`beat 0 ${this.#seconds}`);
        await collect();
        const each = (bytes: number): number => (bytes - empty) / this.#connections;
        return {
          name,
          usAtRate: atRate.us,
          beatsAtRate: atRate.beats,
          usFlatOut: flatOut?.us ?? null,
          beatsFlatOut: flatOut?.beats ?? null,
          acceptsPerSecond: this.#connections / seconds,
          bytesConnected: each(connected),
          bytesLoaded: each(residentBytes(pid)),
        };
      } finally {
        await end(load);
      }
    } finally {
      await end(server);
    }
  }

  #start(core: number, command: readonly string[]): [Child, Interface] {
    const words = ["netns", "exec", this.#namespace, "taskset", "-c", String(core), ...command];
    const child = spawn("ip", words, { stdio: ["pipe", "pipe", "inherit"], cwd: this.#folder });
    return [child, createInterface(child.stdout)];
  }
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

interface LoadAnswer {
  readonly seconds: number;
  readonly beats: number;
  readonly ended: number;
}

async function answerOf(load: Child, lines: Interface): Promise<LoadAnswer> {
  const [line] = (await Promise.race([
    once(lines, "line"),
    once(load, "exit").then(() => {
      throw new Error("the clients ended too early");
    }),
  ])) as [string];
  return JSON.parse(line) as LoadAnswer;
}

/** Until a server listens: ours say so, others are asked by the kernel's table of listeners. */
async function listening(server: Child, { mute }: Contestant, said: Interface): Promise<void> {
  if (mute !== true) {
    await once(said, "line");
    return;
  }
  const hex = `:${port.toString(16).toUpperCase()} `;
  for (let tries = 0; tries < 500; tries++) {
    if (server.exitCode !== null) throw new Error("the server ended too early");
    const table = readFileSync(`/proc/${server.pid}/net/tcp`, "utf8");
    if (table.split("\n").some((line) => line.includes(hex) && line.includes(" 0A "))) return;
    await sleep(20);
  }
  throw new Error("the server does not listen");
}

async function end(child: Child): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** Of all threads; schedstat counts nanoseconds where stat has ticks. */
function processorUs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((tid) => Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8").split(" ")[0]) / 1_000)
    .reduce((sum, us) => sum + us, 0);
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

async function main(names: readonly string[], numbers: readonly number[], json: boolean): Promise<void> {
  const [connections = 10_000, seconds = 5] = numbers;
  const namespace = newOwnedName("lab");
  const folder = mkdtempSync(join(tmpdir(), "dp-bench-"));
  execFileSync("ip", ["netns", "add", namespace]);
  try {
    prepare(folder);
    execFileSync("ip", ["-n", namespace, "link", "set", "lo", "up"]);
    const sysctls = ["net.ipv4.ip_local_port_range=10000 65000", "net.ipv4.tcp_congestion_control=reno"];
    execFileSync("ip", ["netns", "exec", namespace, "sysctl", "-qw", ...sysctls, "net.core.somaxconn=4096"]);
    const bench = new Bench(namespace, folder, connections, seconds);
    const all: Figures[] = [];
    if (!json) console.log(`${connections} connections, ${seconds} s each; C echo around each server is 1`);
    for (const name of names) {
      const figures = await bench.compare(name);
      all.push(figures);
      if (!json) console.log(lineOf(figures));
    }
    if (json) console.log(JSON.stringify(all));
  } finally {
    execFileSync("ip", ["netns", "delete", namespace]);
    rmSync(folder, { recursive: true, force: true });
  }
}

function us(value: number | null, ratio: number | null): string {
  return value === null || ratio === null ? "-" : `${value.toFixed(1)} us (${ratio.toFixed(2)})`;
}

function kib(bytes: number | null): string {
  return bytes === null ? "-" : (bytes / 1_024).toFixed(1);
}

function lineOf(of: Figures): string {
  return [
    `${of.name}: at ${Math.round(of.beatsAtRate)}/s ${us(of.usAtRate, of.ratioAtRate)}`,
    `flat out ${us(of.usFlatOut, of.ratioFlatOut)}${of.beatsFlatOut === null ? "" : ` ${Math.round(of.beatsFlatOut)}/s`}`,
    `KiB a connection ${kib(of.bytesConnected)}, after load ${kib(of.bytesLoaded)}`,
    `${Math.round(of.acceptsPerSecond)} accepts/s`,
  ].join(", ");
}

const words = process.argv.slice(2);
const only = words.includes("--only") ? words[words.indexOf("--only") + 1]?.split(",") : undefined;
const chosen = Object.keys(contestants).filter((name) => only === undefined || only.includes(name));
const numbers = words.filter((word) => /^\d+$/.test(word)).map(Number);
await main(chosen, numbers, words.includes("--json"));
