// What guard() costs for each connection over the bare socket: microseconds, bytes, timers, wake-ups.
//
//   npx tsc -p tsconfig.test.json && node .build/bench/guard.js [--json] [connections] [rounds]
//
// Needs root and iproute2. Server and client are processes of their own, in a network namespace made and removed here.
import { newOwnedName } from "../src/kernel/owned-names.js";
import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Guard, guard } from "../src/guard/guard.js";
import { inNamespace, namespaceAt } from "../src/kernel/namespaces.js";
import { planDetection } from "../src/plan/planner.js";

/** A connect burst larger than the accept queue waits for SYN retransmissions. */
const burst = 100;
const idleWindowMs = 3_000;
const self = fileURLToPath(import.meta.url);

interface Figures {
  readonly connections: number;
  readonly rounds: number;
  /** Heap of a bare, connected net.Socket. */
  readonly bareBytes: number;
  readonly guardBytes: number;
  /** What Node's own setKeepAlive takes, which sets idle alone and reads nothing back. */
  readonly setKeepAliveUs: number;
  readonly guardUs: number;
  /** guard() on a socket that has one: settings and reading back, nothing to attach. */
  readonly changeUs: number;
  readonly snapshotUs: number;
  readonly closeUs: number;
  readonly timersAdded: number;
  /** Voluntary context switches of the idle process within the window. */
  readonly bareWakeups: number;
  readonly guardedWakeups: number;
}

async function main(connections: number, rounds: number, json: boolean): Promise<void> {
  const name = newOwnedName("lab");
  execFileSync("ip", ["netns", "add", name]);
  const children: ChildProcess[] = [];
  const start = (...args: string[]): ChildProcess => {
    const child = inNamespace(namespaceAt(name), () => fork(self, args));
    children.push(child);
    return child;
  };
  try {
    execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
    const sysctls = ["net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_congestion_control=reno"];
    execFileSync("ip", ["netns", "exec", name, "sysctl", "-qw", ...sysctls]);
    const [port] = (await once(start("serve"), "message")) as [number];
    const client = start("measure", String(port), String(connections), String(rounds));
    const [figures] = (await once(client, "message")) as [Figures];
    if (json) console.log(JSON.stringify(figures));
    else print(figures);
  } finally {
    for (const child of children) child.kill();
    execFileSync("ip", ["netns", "delete", name]);
  }
}

function serve(): void {
  const server = createServer();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () =>
    process.send?.((server.address() as AddressInfo).port),
  );
  process.once("disconnect", () => process.exit());
}

async function measure(port: number, connections: number, rounds: number): Promise<Figures> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const heapBytes = (): number => {
    collect();
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const { settings } = planDetection({ detectWithin: "35s" });

  const empty = heapBytes();
  const sockets: Socket[] = [];
  for (let made = 0; made < connections; made += burst)
    await Promise.all(
      Array.from({ length: Math.min(burst, connections - made) }, async () => {
        const socket = connect({ port, host: "127.0.0.1" });
        sockets.push(socket);
        await once(socket, "connect");
      }),
    );
  const bare = heapBytes();
  const bareWakeups = await wakeups();

  const guardUs: number[] = [];
  const changeUs: number[] = [];
  const snapshotUs: number[] = [];
  const closeUs: number[] = [];
  const setKeepAliveUs: number[] = [];
  const guardBytes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = heapBytes();
    // Every round asks for something else: Node passes over a call that repeats the last one.
    setKeepAliveUs.push(perUs(sockets, (socket) => socket.setKeepAlive(true, 60_000 + round * 1_000)));
    guardUs.push(perUs(sockets, (socket) => guard(socket, settings)));
    guardBytes.push((heapBytes() - before) / sockets.length);
    changeUs.push(perUs(sockets, (socket) => guard(socket, settings)));
    const guards: Guard[] = sockets.map((socket) => guard(socket, settings));
    snapshotUs.push(perUs(guards, (guarded) => guarded.snapshot()));
    if (round + 1 < rounds) closeUs.push(perUs(guards, (guarded) => guarded.close()));
  }
  const timersAdded = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  return {
    connections,
    rounds,
    bareBytes: (bare - empty) / sockets.length,
    guardBytes: middle(guardBytes),
    setKeepAliveUs: middle(setKeepAliveUs),
    guardUs: middle(guardUs),
    changeUs: middle(changeUs),
    snapshotUs: middle(snapshotUs),
    closeUs: middle(closeUs),
    timersAdded,
    bareWakeups,
    guardedWakeups: await wakeups(),
  };
}

function perUs<T>(things: readonly T[], work: (thing: T) => unknown): number {
  const start = performance.now();
  for (const thing of things) work(thing);
  return ((performance.now() - start) * 1_000) / things.length;
}

async function wakeups(): Promise<number> {
  const before = process.resourceUsage().voluntaryContextSwitches;
  await new Promise((resolve) => setTimeout(resolve, idleWindowMs));
  return process.resourceUsage().voluntaryContextSwitches - before;
}

function middle(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN;
}

function us(value: number): string {
  return `${value.toFixed(1)} us`;
}

function print(figures: Figures): void {
  const rows: [string, string, string][] = [
    ["bare net.Socket", `${figures.bareBytes.toFixed(0)} bytes`, ""],
    [
      "guard()",
      `${figures.guardBytes.toFixed(0)} bytes`,
      `${(figures.guardBytes / figures.bareBytes).toFixed(2)} of the bare socket; goal: under 1024 bytes`,
    ],
    ["socket.setKeepAlive()", us(figures.setKeepAliveUs), ""],
    [
      "guard()",
      us(figures.guardUs),
      `${(figures.guardUs / figures.setKeepAliveUs).toFixed(1)} times setKeepAlive()`,
    ],
    ["guard() again", us(figures.changeUs), "settings written and read back, nothing to attach"],
    ["snapshot()", us(figures.snapshotUs), ""],
    ["close()", us(figures.closeUs), ""],
    ["timers added", String(figures.timersAdded), "goal: none"],
    [
      `wake-ups in ${idleWindowMs / 1_000} s`,
      String(figures.guardedWakeups),
      `${figures.bareWakeups} before the sockets were guarded`,
    ],
  ];
  console.log(`${figures.connections} connections, medians of ${figures.rounds} rounds`);
  for (const [name, value, remark] of rows)
    console.log(`  ${name.padEnd(22)} ${value.padStart(12)}  ${remark}`.trimEnd());
}

const [role = "", ...rest] = process.argv.slice(2);
if (role === "serve") serve();
else if (role === "measure") {
  const [port, connections, rounds] = rest.map(Number);
  process.send?.(await measure(port ?? 0, connections ?? 0, rounds ?? 0));
  process.once("disconnect", () => process.exit());
} else {
  const args = process.argv.slice(2).filter((arg) => arg !== "--json");
  const [connections = 10_000, rounds = 7] = args.map(Number);
  await main(connections, rounds, process.argv.includes("--json"));
}
