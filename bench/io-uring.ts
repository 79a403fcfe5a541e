// Whether parking would be cheaper on io_uring: the same echo on io_uring and on epoll, both in TypeScript, and on epoll in C.
//
//   npx tsc -p tsconfig.test.json && node .build/bench/io-uring.js [--json] [connections] [seconds] [rounds]
//
// Needs gcc. Server on one core, clients (bench/heartbeat/load.c) on the other. In each round all take turns, and the C echo, which is
// the unit, is measured before and after. Where the kernel forbids io_uring it says so and ends with 3.
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Spread, spreadOf } from "./spread.js";

const rate = 20_000;
const numbers = process.argv.slice(2).filter((word) => word !== "--json");
const [connections = 4_000, seconds = 3, rounds = 3] = numbers.map(Number);
const sources = fileURLToPath(new URL("../../bench/heartbeat", import.meta.url));
const compiled = fileURLToPath(new URL("parking", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "deadpeer-io-uring-"));

const commands: Readonly<Record<string, readonly string[]>> = {
  "epoll, C": [join(folder, "echo")],
  "epoll, TypeScript": [process.execPath, join(compiled, "echo-epoll.js")],
  "io_uring, TypeScript": [process.execPath, join(compiled, "echo-uring.js")],
};
const unit = "epoll, C";

/** Microseconds of the server's processor time for a beat. */
interface Measured {
  readonly atRate: number;
  readonly flatOut: number;
}

/** What the kernel, or whoever keeps this process in, does not allow. */
class Forbidden extends Error {}

type Child = ChildProcessByStdio<Writable, Readable, null>;
const running = new Set<Child>();

function start(core: number, command: readonly string[]): Child {
  const child = spawn("taskset", ["-c", String(core), ...command], { stdio: ["pipe", "pipe", "inherit"] });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

async function end(child: Child): Promise<void> {
  if (!running.has(child)) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** Of all threads. */
function processorUs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((tid) => Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8").split(" ")[0]) / 1_000)
    .reduce((sum, us) => sum + us, 0);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function measure(command: readonly string[]): Promise<Measured> {
  const port = String(await freePort());
  const server = start(0, [...command, port]);
  try {
    const [said] = (await once(createInterface(server.stdout), "line")) as [string];
    if (said !== "ready") throw new Forbidden(said);
    const load = start(1, [join(folder, "load"), "raw", port, String(connections)]);
    const lines = createInterface(load.stdout)[Symbol.asyncIterator]();
    try {
      await lines.next();
      const timed = async (beats: number): Promise<number> => {
        const before = processorUs(server.pid ?? 0);
        load.stdin.write(`beat ${beats} ${seconds}\n`);
        const { value } = (await lines.next()) as { value: string };
        const answer = JSON.parse(value) as { readonly beats: number; readonly ended: number };
        if (answer.ended > 0) throw new Error(`the server closed ${answer.ended} connections`);
        return (processorUs(server.pid ?? 0) - before) / answer.beats;
      };
      // Warm before it counts.
      await timed(0);
      await sleep(100);
      return { atRate: await timed(rate), flatOut: await timed(0) };
    } finally {
      await end(load);
    }
  } finally {
    await end(server);
  }
}

async function bench(): Promise<{ name: string; us: Measured; atRate: Spread; flatOut: Spread }[]> {
  for (const program of ["echo", "load"])
    execFileSync("gcc", ["-D_GNU_SOURCE", "-O2", "-o", join(folder, program), join(sources, `${program}.c`)]);
  const taken = new Map(Object.keys(commands).map((name) => [name, [] as { own: Measured; c: Measured }[]]));
  for (let round = 0; round < rounds; round++)
    for (const [name, command] of Object.entries(commands)) {
      if (name === unit) continue;
      const before = await measure(commands[unit] ?? []);
      const own = await measure(command);
      const after = await measure(commands[unit] ?? []);
      const c = { atRate: (before.atRate + after.atRate) / 2, flatOut: (before.flatOut + after.flatOut) / 2 };
      taken.get(name)?.push({ own, c });
      taken.get(unit)?.push({ own: c, c });
    }
  return [...taken].map(([name, each]) => {
    const ratio = (of: keyof Measured): Spread => spreadOf(each.map(({ own, c }) => own[of] / c[of]));
    const us = (of: keyof Measured): number => spreadOf(each.map(({ own }) => own[of])).median;
    return {
      name,
      us: { atRate: us("atRate"), flatOut: us("flatOut") },
      atRate: ratio("atRate"),
      flatOut: ratio("flatOut"),
    };
  });
}

try {
  const figures = await bench();
  if (process.argv.includes("--json")) console.log(JSON.stringify(figures));
  else
    for (const { name, us, atRate, flatOut } of figures)
      console.log(
        `${name.padEnd(22)}${us.atRate.toFixed(1).padStart(6)} us ${atRate.median.toFixed(2)} (${atRate.min.toFixed(2)}–${atRate.max.toFixed(2)})` +
          `   flat out ${us.flatOut.toFixed(1).padStart(6)} us ${flatOut.median.toFixed(2)} (${flatOut.min.toFixed(2)}–${flatOut.max.toFixed(2)})`,
      );
} catch (error) {
  if (!(error instanceof Forbidden)) throw error;
  console.error(error.message);
  process.exitCode = 3;
} finally {
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}
