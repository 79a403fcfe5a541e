import { borrowSocket } from "../../src/kernel/pidfd.js";
import { socketHolders } from "../../src/kernel/processes.js";
import { readSettings, type SocketSettings, writeSettings } from "../../src/kernel/socket-options.js";
import type { Host } from "../../src/lab/index.js";
import { planDetection } from "../../src/plan/planner.js";
import type { Launcher } from "./stage.js";
import { establishedSockets } from "./near-sockets.js";

export const wayNames = [
  "under run",
  "under a policy",
  "already running, through set",
  "through set and undone",
] as const;
export type WayName = (typeof wayNames)[number];

export class Ways implements Disposable {
  readonly #detect: string;
  constructor(detect: string, _near: Host) {
    this.#detect = detect;
  }
  launcher(_way: WayName): Launcher {
    return (command) => command;
  }
  set(pids: readonly number[]): [number, number, SocketSettings][] {
    const { settings } = planDetection({ detectWithin: this.#detect });
    const { holders } = socketHolders({ pids });
    const undo: [number, number, SocketSettings][] = [];
    for (const s of establishedSockets()) {
      const [h] = holders.get(s.inode) ?? [];
      if (h === undefined) continue;
      using fd = borrowSocket(h.pid, h.fd);
      undo.push([h.pid, h.fd, readSettings(fd.fd)]);
      if (settings.keepalive)
        writeSettings(fd.fd, { keepalive: settings.keepalive, userTimeoutMs: settings.userTimeoutMs });
    }
    return undo;
  }
  undo(undo: [number, number, SocketSettings][]): void {
    for (const [pid, f, was] of undo) {
      using fd = borrowSocket(pid, f);
      writeSettings(fd.fd, { keepalive: was.keepalive, userTimeoutMs: was.userTimeoutMs });
      if (!was.keepalive.enabled) writeSettings(fd.fd, { keepalive: null });
    }
  }
  [Symbol.dispose](): void {}
}
