import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { baseFd } from "../../../src/guard/inner-socket.js";
import { type Heartbeat, heartbeat } from "../../../src/heartbeat/heartbeat.js";
import type { HeartbeatAdapter } from "../../../src/heartbeat/adapter.js";
import { readTcpInfo } from "../../../src/kernel/tcp-info.js";
import { VirtualClock } from "../../../src/time/virtual-clock.js";
import type { Place } from "../../support/servers.js";

export const wanted = { idle: 20_000, interval: 5_000, count: 3 } as const;

/** A real connection watched on a clock that is moved by hand. */
export interface Watched {
  readonly clock: VirtualClock;
  readonly beats: Heartbeat;
  /** The names of what happened. */
  readonly seen: string[];
}

export function watch(adapter: HeartbeatAdapter, clock = new VirtualClock()): Watched {
  const beats = heartbeat(adapter, wanted, { clock, phase: 0 });
  const seen: string[] = [];
  for (const name of ["beat", "suspect", "recovered", "verdict", "end"] as const)
    beats.on(name, () => seen.push(name));
  beats.on("answer", (rttUs) => seen.push(rttUs === null ? "some answer" : "answer"));
  return { clock, beats, seen };
}

/** Waits for something that becomes true by packets, and for nothing else. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (const began = Date.now(); !holds(); await turn())
    if (Date.now() - began > 10_000) throw new Error(`not within 10 s: ${what}`);
}

/** Whatever came from the peer, acknowledgements too. */
export const segmentsIn = (socket: Socket): number => readTcpInfo(baseFd(socket)).segmentsIn ?? 0;

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "::");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A place on this machine for a real server; what was started there is killed with it. */
export class Here implements Place, AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "dp-server-"));
  readonly #ends: (() => Promise<unknown>)[] = [];

  private constructor(readonly port: number) {}

  static async open(): Promise<Here> {
    return new Here(await freePort());
  }

  readonly spawn: Place["spawn"] = (command, args, options) => {
    const child = spawn(command, [...args], options);
    this.#ends.push(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    });
    return child;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends) await end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
