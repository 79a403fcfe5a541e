import { DeadpeerError } from "../errors.js";
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
    try {
      using borrowed = handle.borrow(fd, cookie);
      return borrowed === null ? null : readSettings(borrowed.fd);
    } catch (error) {
      this.#pass(error);
      this.#forget(pid);
      return null;
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
    const { enabled, idleMs, intervalMs, count } = settings.keepalive;
    const key = `${enabled} ${idleMs} ${intervalMs} ${count} ${settings.userTimeoutMs} ${settings.rtoMaxMs}`;
    let seen = this.#seen.get(key);
    if (seen === undefined) {
      seen = settingsOfSocket(settings);
      this.#seen.set(key, seen);
    }
    return seen;
  }

  [Symbol.dispose](): void {
    for (const handle of this.#handles.values()) handle?.close();
    this.#handles.clear();
  }
}
