import { DeadpeerError } from "../errors.js";
import type { OwnedFd } from "../kernel/fd.js";
import { ProcessHandle } from "../kernel/pidfd.js";
import type { SocketHolder } from "../kernel/processes.js";
import type { DiagSocket } from "../kernel/sock-diag.js";
import { readSettings, type SocketSettings } from "../kernel/socket-options.js";
import { type SeenSettings, settingsOfSocket } from "./seen-settings.js";

/**
 * Reads settings from the sockets of other processes, each socket once however many processes share it. Sockets with the same
 * settings get the same object: a host has many thousand sockets and few different settings.
 *
 * @example
 * using reader = new SettingsReader();
 * reader.read(socket, holders.get(socket.inode) ?? []);
 */
export class SettingsReader implements Disposable {
  /** null: the process may not be looked into, or has ended. */
  readonly #handles = new Map<number, ProcessHandle | null>();
  readonly #seen = new Map<string, SeenSettings>();
  #last: { readonly read: SocketSettings; readonly seen: SeenSettings } | null = null;
  #refusal: DeadpeerError | null = null;

  /** Why some sockets could not be read, where that was no race: `permission-denied` or `feature-missing`. */
  get refusal(): DeadpeerError | null {
    return this.#refusal;
  }

  /** null where no holder can be asked: no privilege, or socket or process have gone since they were listed. */
  read(socket: DiagSocket, holders: readonly SocketHolder[]): SeenSettings | null {
    for (const { pid, fd } of holders) {
      const settings = this.#ask(pid, fd, socket.cookie);
      if (settings !== null) return this.#shared(settings);
    }
    return null;
  }

  #ask(pid: number, fd: number, cookie: bigint): SocketSettings | null {
    const handle = this.#handle(pid);
    if (handle === null) return null;
    // Not `using`: what TypeScript makes of it costs as much as one of the system calls, and this runs for every socket.
    let borrowed: OwnedFd | null = null;
    try {
      borrowed = handle.borrow(fd, cookie);
      return borrowed === null ? null : readSettings(borrowed.fd);
    } catch (error) {
      this.#pass(error);
      // A single socket that cannot be read (MPTCP) says nothing about the others of its process.
      if (!(error instanceof DeadpeerError && error.code === "no-socket")) this.#forget(pid);
      return null;
    } finally {
      borrowed?.close();
    }
  }

  #handle(pid: number): ProcessHandle | null {
    const known = this.#handles.get(pid);
    if (known !== undefined) return known;
    let handle: ProcessHandle | null = null;
    try {
      handle = ProcessHandle.open(pid);
    } catch (error) {
      this.#pass(error);
    }
    this.#handles.set(pid, handle);
    return handle;
  }

  #forget(pid: number): void {
    this.#handles.get(pid)?.close();
    this.#handles.set(pid, null);
  }

  /** Goes on without this socket where that is ordinary: no privilege, an old kernel, a process that has just ended. */
  #pass(error: unknown): void {
    if (!(error instanceof DeadpeerError)) throw error;
    if (error.code === "permission-denied" || error.code === "feature-missing") this.#refusal ??= error;
    else if (error.code !== "no-process" && error.code !== "no-socket") throw error;
  }

  #shared(settings: SocketSettings): SeenSettings {
    // Most sockets of a program have the settings of the one before.
    if (this.#last !== null && isSame(this.#last.read, settings)) return this.#last.seen;
    const key = JSON.stringify(settings);
    const seen = this.#seen.get(key) ?? settingsOfSocket(settings);
    this.#seen.set(key, seen);
    this.#last = { read: settings, seen };
    return seen;
  }

  [Symbol.dispose](): void {
    for (const handle of this.#handles.values()) handle?.close();
    this.#handles.clear();
  }
}

function isSame(a: SocketSettings, b: SocketSettings): boolean {
  return (
    a.keepalive.enabled === b.keepalive.enabled &&
    a.keepalive.idleMs === b.keepalive.idleMs &&
    a.keepalive.intervalMs === b.keepalive.intervalMs &&
    a.keepalive.count === b.keepalive.count &&
    a.userTimeoutMs === b.userTimeoutMs &&
    a.rtoMaxMs === b.rtoMaxMs
  );
}
