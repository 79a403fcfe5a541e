import { DeadpeerError } from "../errors.js";
import type { SocketHolder } from "../kernel/processes.js";
import type { DiagSocket } from "../kernel/sock-diag.js";
import { readSettings, type SocketSettings } from "../kernel/socket-options.js";
import { Borrower } from "./borrower.js";
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
  readonly #borrower = new Borrower();
  readonly #seen = new Map<string, SeenSettings>();
  #last: { readonly read: SocketSettings; readonly seen: SeenSettings } | null = null;

  /** Why some sockets could not be read, where that was no race: `permission-denied` or `feature-missing`. */
  get refusal(): DeadpeerError | null {
    return this.#borrower.refusal;
  }

  /** null where no holder can be asked: no privilege, or socket or process have gone since they were listed. */
  read(socket: Pick<DiagSocket, "cookie">, holders: readonly SocketHolder[]): SeenSettings | null {
    for (const { pid, fd } of holders) {
      const settings = this.#ask(pid, fd, socket.cookie);
      if (settings !== null) return this.#shared(settings);
    }
    return null;
  }

  #ask(pid: number, fd: number, cookie: bigint): SocketSettings | null {
    // Not `using`: what TypeScript makes of it costs as much as one of the system calls, and this runs for every socket.
    const borrowed = this.#borrower.borrow(pid, fd, cookie);
    if (typeof borrowed === "string") return null;
    try {
      return readSettings(borrowed.fd);
    } catch (error) {
      // MPTCP.
      if (error instanceof DeadpeerError && error.code === "no-socket") return null;
      throw error;
    } finally {
      borrowed.close();
    }
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
    this.#borrower[Symbol.dispose]();
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
