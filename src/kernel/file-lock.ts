import { openSync } from "node:fs";
import { errnoName } from "./errno.js";
import { OwnedFd } from "./fd.js";
import { lastErrno, libc, syscallError } from "./libc.js";

/** include/uapi/asm-generic/fcntl.h. */
const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * A file that one process at a time has to itself (flock(2)). The kernel gives it back when its holder ends, however it ends.
 *
 * @example
 * using lock = FileLock.tryTake("/run/deadpeer/set/lock");
 * if (lock === null) throw somebodyElseIsAtIt();
 */
export class FileLock implements Disposable {
  readonly #file: OwnedFd;

  private constructor(file: OwnedFd) {
    this.#file = file;
  }

  /**
   * Makes the file where there is none; its folder must exist.
   *
   * @returns null if somebody else has it, in this process or another.
   * @throws what open(2) throws; DeadpeerError `syscall-failed`, `ffi-unavailable`, `platform-unsupported`.
   */
  static tryTake(path: string): FileLock | null {
    const file = new OwnedFd(openSync(path, "a", 0o600));
    if (libc().flock(file.fd, LOCK_EX | LOCK_NB) >= 0) return new FileLock(file);
    const errno = lastErrno();
    file.close();
    if (errnoName(errno) === "EAGAIN") return null;
    throw syscallError(errno, "flock");
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
