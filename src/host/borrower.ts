import { DeadpeerError } from "../errors.js";
import type { OwnedFd } from "../kernel/fd.js";
import { ProcessHandle } from "../kernel/pidfd.js";

/** Why a socket of a process cannot be had: the process may not be looked into, or it holds that socket no more. */
export type Unborrowed = "denied" | "gone";

/**
 * Borrows sockets of other processes, and opens each process once.
 *
 * @example
 * using borrower = new Borrower();
 * const socket = borrower.borrow(2514, 22, diag.cookie);
 */
export class Borrower implements Disposable {
  readonly #handles = new Map<number, ProcessHandle | Unborrowed>();
  #refusal: DeadpeerError | null = null;

  /** Why something was denied: `permission-denied` or `feature-missing`; null: nothing was. */
  get refusal(): DeadpeerError | null {
    return this.#refusal;
  }

  /** The caller closes it soon: while it is open, the socket does not end with its process. */
  borrow(pid: number, fd: number, cookie?: bigint): OwnedFd | Unborrowed {
    const handle = this.#handle(pid);
    if (typeof handle === "string") return handle;
    try {
      return handle.borrow(fd, cookie) ?? "gone";
    } catch (error) {
      // Whatever it is, it holds for all sockets of this process.
      const why = this.#reason(error);
      handle.close();
      this.#handles.set(pid, why);
      return why;
    }
  }

  #handle(pid: number): ProcessHandle | Unborrowed {
    let handle = this.#handles.get(pid);
    if (handle === undefined) {
      try {
        handle = ProcessHandle.open(pid);
      } catch (error) {
        handle = this.#reason(error);
      }
      this.#handles.set(pid, handle);
    }
    return handle;
  }

  /** Goes on where that is ordinary: no privilege, an old kernel, a process that has just ended. */
  #reason(error: unknown): Unborrowed {
    if (!(error instanceof DeadpeerError)) throw error;
    if (error.code === "no-process") return "gone";
    if (error.code !== "permission-denied" && error.code !== "feature-missing") throw error;
    this.#refusal ??= error;
    return "denied";
  }

  [Symbol.dispose](): void {
    for (const handle of this.#handles.values()) if (typeof handle !== "string") handle.close();
    this.#handles.clear();
  }
}
