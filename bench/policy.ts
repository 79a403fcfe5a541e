// What a policy costs a server of short connections: connections per second, beside libkeepalive by LD_PRELOAD.
//
//   npx tsc -p tsconfig.test.json && node .build/bench/policy.js [--json] [rounds] [seconds]
//
// Needs root, iproute2, and Debian's nginx, wrk and libkeepalive0. Two nginx with one worker each stand on one core, one of them with
// the library preloaded; wrk asks from the other core, a connection a request, always one server at a time. Each round has all phases,
// every time in another order, and each is compared with the plain server of its round; a second plain phase shows what is
// noise. Processor time for each connection is the figure that other work on the machine disturbs least. What the server's connections really have is read back before each phase, and the policy's counters after it. The
// network namespace and the cgroup are the bench's own and go with it, on Ctrl-C too.
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import {
  addPolicy,
  type Connection,
  parseFilter,
  policyOf,
  removePolicy,
  survey,
} from "../src/host/index.js";
import { planDetection } from "../src/index.js";
import { cgroupDirectory } from "../src/kernel/cgroups.js";
import { newOwnedName } from "../src/kernel/owned-names.js";
import { type Spread, spreadOf } from "./spread.js";

const library = "/usr/lib/libkeepalive.so.0";
const ports = { plain: 7_050, preloaded: 7_051 } as const;
/** Enough that neither core waits for the other. */
const parallel = 64;

const { settings } = planDetection({ detectWithin: "35s" });
if (settings.keepalive === null) throw new Error("a plan without keepalive");
const { keepalive } = settings;

/** A client that connects, says by which port and keeps still. */
const holding = `const socket = require("net").connect(process.argv[1], "127.0.0.1", () => console.log(socket.localPort))`;

interface Phase {
  readonly name: string;
  readonly port: number;
  readonly policy: boolean;
  /** What the server's end of a connection must have. */
  readonly has: Pick<Connection, "keepalive" | "userTimeoutMs">;
}

const untouched = { enabled: false, idleMs: 7_200_000, intervalMs: 75_000, count: 9 };
const phases: readonly Phase[] = [
  {
    name: "nothing",
    port: ports.plain,
    policy: false,
    has: { keepalive: untouched, userTimeoutMs: 0 },
  },
  {
    name: "policy",
    port: ports.plain,
    policy: true,
    has: { keepalive: { enabled: true, ...keepalive }, userTimeoutMs: settings.userTimeoutMs },
  },
  {
    name: "libkeepalive",
    port: ports.preloaded,
    policy: false,
    has: { keepalive: { enabled: true, ...keepalive }, userTimeoutMs: 0 },
  },
  {
    name: "nothing, again",
    port: ports.plain,
    policy: false,
    has: { keepalive: untouched, userTimeoutMs: 0 },
  },
];

interface Measured {
  readonly connections: number;
  readonly perSecond: number;
  /** Of nginx's worker and wrk together: over loopback each does part of the other's work in the kernel. */
  readonly cpuUsPerConnection: number;
  /** Connections that the policy says it set; null without one. */
  readonly touched: number | null;
}

class Bench implements AsyncDisposable {
  readonly #name = newOwnedName("lab");
  /** Named as a run's, so that `deadpeer cleanup` finds it and its policy should the bench be killed. */
  readonly #cgroup = `/${newOwnedName("run")}`;
  readonly #folder = mkdtempSync(join(tmpdir(), "deadpeer-bench-"));
  readonly #stop: AbortSignal;
  readonly #servers = new Map<number, ChildProcess>();

  constructor(stop: AbortSignal) {
    this.#stop = stop;
  }

  async open(): Promise<void> {
    execFileSync("ip", ["netns", "add", this.#name]);
    execFileSync("ip", ["-n", this.#name, "link", "set", "lo", "up"]);
    const sysctls = ["net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_congestion_control=reno"];
    execFileSync("ip", ["netns", "exec", this.#name, "sysctl", "-qw", ...sysctls, "net.core.somaxconn=4096"]);
    mkdirSync(cgroupDirectory(this.#cgroup));
    await this.#serve(ports.plain, {});
    await this.#serve(ports.preloaded, {
      // biome-ignore-start lint/style/useNamingConvention: the environment's names
      LD_PRELOAD: library,
      KEEPALIVE: "on",
      KEEPIDLE: String(keepalive.idleMs / 1_000),
      KEEPINTVL: String(keepalive.intervalMs / 1_000),
      KEEPCNT: String(keepalive.count),
      // biome-ignore-end lint/style/useNamingConvention: the environment's names
    });
  }

  async measure(phase: Phase, seconds: number): Promise<Measured> {
    if (phase.policy) addPolicy(this.#cgroup, { settings }, { command: "run" });
    try {
      const before = policyOf(this.#cgroup)?.counters.touched ?? 0;
      await this.#readBack(phase);
      const worker = this.#workerOf(phase.port);
      const startUs = processorUs(worker);
      const { requests, tookS, cpuUs: askingUs } = await this.#ask(phase.port, seconds);
      const cpuUs = processorUs(worker) - startUs + askingUs;
      const counters = policyOf(this.#cgroup)?.counters;
      if (phase.policy !== (counters !== undefined))
        throw new Error(`${phase.name}: the policy is not as meant`);
      const touched = counters === undefined ? null : counters.touched - before;
      if (counters !== undefined && counters.failed > 0)
        throw new Error(`the policy failed: ${counters.failed}`);
      if (touched !== null && touched < requests)
        throw new Error(`the policy set ${touched} of ${requests} connections`);
      return {
        connections: requests,
        perSecond: requests / tookS,
        cpuUsPerConnection: cpuUs / requests,
        touched,
      };
    } finally {
      const policy = policyOf(this.#cgroup);
      if (policy !== null) removePolicy(policy);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers.values()) await ended(server);
    const directory = cgroupDirectory(this.#cgroup);
    if (exists(directory)) {
      const policy = policyOf(this.#cgroup);
      if (policy !== null) removePolicy(policy);
      // A worker may outlive its master by a moment.
      while (/^populated 1/m.test(readFileSync(join(directory, "cgroup.events"), "utf8"))) await sleep(10);
      rmdirSync(directory);
    }
    if (exists(join("/run/netns", this.#name))) execFileSync("ip", ["netns", "delete", this.#name]);
    rmSync(this.#folder, { recursive: true });
  }

  async #serve(port: number, environment: Readonly<Record<string, string>>): Promise<void> {
    const folder = join(this.#folder, String(port));
    mkdirSync(folder);
    writeFileSync(join(folder, "nginx.conf"), configuration(port, folder));
    // Into the cgroup first: ip-netns(8) mounts another /sys, without it.
    const enter = `echo 0 >${cgroupDirectory(this.#cgroup)}/cgroup.procs && exec "$@"`;
    const program = ["nginx", "-e", "stderr", "-p", folder, "-c", join(folder, "nginx.conf")];
    const preload = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const words = ["ip", "netns", "exec", this.#name, "taskset", "-c", "0", "env", ...preload, ...program];
    // A group of its own, so that a terminal's Ctrl-C reaches only us.
    const server = spawn("sh", ["-c", enter, "sh", ...words], { stdio: ["ignore", 2, 2], detached: true });
    this.#servers.set(port, server);
    const filter = parseFilter({ local: [`127.0.0.1:${port}`], state: ["listen"], netns: [this.#name] });
    for (let tries = 0; tries < 500 && server.exitCode === null; tries++) {
      if (survey({ filter, fast: true }).length > 0) return;
      await sleep(20, undefined, { signal: this.#stop });
    }
    throw new Error(`nginx does not listen on port ${port}`);
  }

  /** One connection more, whose server's end is asked what it has. */
  async #readBack({ name, port, has }: Phase): Promise<void> {
    const client = spawn("ip", ["netns", "exec", this.#name, process.execPath, "-e", holding, String(port)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const [localPort] = (await once(client.stdout, "data", { signal: this.#stop })) as [Buffer];
      const filter = parseFilter({
        local: [`127.0.0.1:${port}`],
        remote: [`127.0.0.1:${localPort.toString()}`],
        netns: [this.#name],
      });
      // Accepted is what a process holds, which takes nginx a moment.
      for (let tries = 0; tries < 100; tries++) {
        const connection = survey({ filter }).find(({ settingsFrom }) => settingsFrom === "socket");
        if (connection !== undefined) {
          const { keepalive: kept, userTimeoutMs } = connection;
          const got = JSON.stringify({ keepalive: kept, userTimeoutMs });
          if (got === JSON.stringify(has)) return;
          throw new Error(`${name}: a connection has ${got} in place of ${JSON.stringify(has)}`);
        }
        await sleep(10, undefined, { signal: this.#stop });
      }
      throw new Error(`${name}: nginx does not accept`);
    } finally {
      await ended(client);
    }
  }

  #workerOf(port: number): number {
    const pid = this.#servers.get(port)?.pid;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
  }

  async #ask(port: number, seconds: number): Promise<{ requests: number; tookS: number; cpuUs: number }> {
    const wrk = ["wrk", "-t", "1", "-c", String(parallel), "-d", `${seconds}s`, "-H", "Connection: close"];
    const words = [
      "ip",
      "netns",
      "exec",
      this.#name,
      "taskset",
      "-c",
      "1",
      ...wrk,
      `http://127.0.0.1:${port}/`,
    ];
    // Whoever ends the shell ends wrk.
    const timed = `trap 'kill $!; exit 1' TERM; "$@" & wait $! && times`;
    const { stdout } = await promisify(execFile)("sh", ["-c", timed, "sh", ...words], {
      signal: this.#stop,
    });
    const [, requests, took, unit] = /(\d+) requests in ([\d.]+)(s|ms)/.exec(stdout) ?? [];
    if (requests === undefined || /Socket errors|Non-2xx/.test(stdout)) throw new Error(`wrk: ${stdout}`);
    // The second line of times(1) is of the shell's children: 0m1.23s 0m0.45s.
    const [, minutes, user, , system] = /(\d+)m([\d.]+)s (\d+)m([\d.]+)s\s*$/.exec(stdout) ?? [];
    return {
      requests: Number(requests),
      tookS: Number(took) / (unit === "ms" ? 1_000 : 1),
      cpuUs: (Number(minutes) * 60 + Number(user) + Number(system)) * 1e6,
    };
  }
}

function configuration(port: number, folder: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
daemon off; user root; worker_processes 1; pid ${folder}/pid; error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  ${temporary.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ")}
  server { listen 127.0.0.1:${port} backlog=4096; location / { return 200 "ok"; } }
}
`;
}

async function ended(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exit = once(server, "exit");
  server.kill("SIGTERM");
  await exit;
}

function exists(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}

/** schedstat counts nanoseconds where stat has ticks. */
function processorUs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1_000;
}

interface PhaseFigures {
  readonly name: string;
  readonly connections: number;
  readonly touched: number | null;
  readonly perSecond: Spread;
  /** To the plain server of the same round. */
  readonly ratio: Spread;
  readonly cpuUsPerConnection: Spread;
  readonly cpuRatio: Spread;
}

function figuresOf({ name, policy }: Phase, rounds: readonly ReadonlyMap<string, Measured>[]): PhaseFigures {
  const each = <T>(take: (own: Measured, plain: Measured) => T): T[] =>
    rounds.map((round) => take(round.get(name) as Measured, round.get("nothing") as Measured));
  return {
    name,
    connections: each(({ connections }) => connections).reduce((sum, one) => sum + one, 0),
    touched: policy ? each(({ touched }) => touched ?? 0).reduce((sum, one) => sum + one, 0) : null,
    perSecond: spreadOf(each(({ perSecond }) => perSecond)),
    ratio: spreadOf(each((own, plain) => own.perSecond / plain.perSecond)),
    cpuUsPerConnection: spreadOf(each(({ cpuUsPerConnection }) => cpuUsPerConnection)),
    cpuRatio: spreadOf(each((own, plain) => own.cpuUsPerConnection / plain.cpuUsPerConnection)),
  };
}

function spreadText({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}..${max.toFixed(digits)})`;
}

function lineOf({ name, connections, touched, ...of }: PhaseFigures): string {
  return [
    name.padEnd(15),
    spreadText(of.perSecond, 0).padEnd(24),
    spreadText(of.ratio, 3).padEnd(22),
    spreadText(of.cpuUsPerConnection, 1).padEnd(20),
    spreadText(of.cpuRatio, 3).padEnd(22),
    touched === null ? connections : `${connections}, ${touched} set by the policy`,
  ].join("  ");
}

async function main(rounds: number, seconds: number, json: boolean): Promise<void> {
  for (const [program, name] of [
    ["/usr/sbin/nginx", "nginx"],
    ["/usr/bin/wrk", "wrk"],
    [library, "libkeepalive0"],
  ] as const)
    if (!exists(program)) throw new Error(`${program} is missing: apt-get install ${name}`);
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  try {
    const measured: Map<string, Measured>[] = [];
    await using bench = new Bench(stop.signal);
    await bench.open();
    for (const phase of phases) await bench.measure(phase, 1);
    for (let round = 0; round < rounds; round++) {
      const figures = new Map<string, Measured>();
      // Each has each place in turn: what comes first finds a cooler machine and fewer connections in TIME_WAIT.
      const from = round % phases.length;
      for (const phase of [...phases.slice(from), ...phases.slice(0, from)])
        figures.set(phase.name, await bench.measure(phase, seconds));
      measured.push(figures);
    }
    const all = phases.map((phase) => figuresOf(phase, measured));
    if (json) console.log(JSON.stringify(all));
    else {
      console.log(
        `${rounds} rounds of ${seconds} s, medians (min..max); ratios to "nothing" of the same round`,
      );
      const [second, cpu] = ["connections per second", "cpu us, both ends"];
      console.log(
        `${"".padEnd(15)}  ${second.padEnd(24)}  ${"ratio".padEnd(22)}  ${cpu.padEnd(20)}  ${"ratio".padEnd(22)}  connections`,
      );
      for (const figures of all) console.log(lineOf(figures));
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    process.exitCode = 130;
  }
}

const words = process.argv.slice(2);
const [rounds = 20, seconds = 1] = words.filter((word) => /^\d+$/.test(word)).map(Number);
await main(rounds, seconds, words.includes("--json"));
