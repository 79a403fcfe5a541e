import { DeadpeerError } from "../errors.js";
import { syscallNumbers } from "./abi.js";
import { socketCookie } from "./socket-cookie.js";
import { errnoName } from "./errno.js";
import { OwnedFd } from "./fd.js";
import { lastErrno, libc, syscallError } from "./libc.js";

/**
 * A running process whose sockets are borrowed. It keeps standing for that process, also after its number is used again.
 *
 * @example
 * using handle = ProcessHandle.open(2514);
 * using socket = handle.borrow(22, diag.cookie);
 * if (socket !== null) readSettings(socket.fd);
 */
export class ProcessHandle implements Disposable {
  readonly pid: number;
  readonly #pidfd: OwnedFd;

  private constructor(pid: number, pidfd: OwnedFd) {
    this.pid = pid;
    this.#pidfd = pidfd;
  }

  /**
   * @throws DeadpeerError `no-process` if there is none, `feature-missing` before Linux 5.3; `ffi-unavailable`,
   *   `platform-unsupported`.
   */
  static open(pid: number): ProcessHandle {
    const pidfd = libc().syscall(syscallNumbers.pidfdOpen, pid, 0, 0, 0);
    if (pidfd < 0) throw processError(lastErrno(), pid, "pidfd_open");
    return new ProcessHandle(pid, new OwnedFd(pidfd));
  }

  /**
   * A descriptor of one's own for a socket of the process; close it soon. While it is open the socket does not end with the
   * process.
   *
   * @param cookie of the socket that is meant (`DiagSocket.cookie`). The program may have closed it and opened something else
   *   under the same number since the socket was listed.
   * @returns null if the process has closed that descriptor, or holds another file under it.
   * @throws DeadpeerError `permission-denied` without CAP_SYS_PTRACE over the process, `no-process` if it has ended,
   *   `feature-missing` before Linux 5.6.
   */
  borrow(fd: number, cookie?: bigint): OwnedFd | null {
    const result = libc().syscall(syscallNumbers.pidfdGetfd, this.#pidfd.fd, fd, 0, 0);
    if (result < 0) {
      const errno = lastErrno();
      if (errnoName(errno) === "EBADF") return null;
      throw processError(errno, this.pid, "pidfd_getfd");
    }
    const borrowed = new OwnedFd(result);
    if (cookie === undefined || socketCookie(result) === cookie) return borrowed;
    borrowed.close();
    return null;
  }

  close(): void {
    this.#pidfd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Borrows one descriptor of another process; for many of one process, ProcessHandle asks for less.
 *
 * @throws DeadpeerError as ProcessHandle, and `no-socket` if the process has closed it or it is another socket.
 */
export function borrowSocket(pid: number, fd: number, cookie?: bigint): OwnedFd {
  using handle = ProcessHandle.open(pid);
  const borrowed = handle.borrow(fd, cookie);
  if (borrowed !== null) return borrowed;
  throw new DeadpeerError("no-socket", `process ${pid} no longer holds that socket as descriptor ${fd}`, {
    operation: "pidfd_getfd",
    errno: "EBADF",
  });
}

function processError(errno: number, pid: number, operation: string): DeadpeerError {
  const name = errnoName(errno);
  const options = { operation, errno: name };
  switch (name) {
    case "ESRCH":
    // pidfd_open of a number that no process can have, or of a thread.
    case "EINVAL":
      return new DeadpeerError("no-process", `there is no process ${pid}, or it has just ended`, options);
    case "EPERM":
    case "EACCES":
      return new DeadpeerError(
        "permission-denied",
        `looking into the sockets of process ${pid} needs CAP_SYS_PTRACE or to be its owner; run as root`,
        options,
      );
    case "ENOSYS":
      return new DeadpeerError(
        "feature-missing",
        `this kernel or sandbox has no ${operation}; Linux 5.6 and later have it`,
        options,
      );
    default:
      return syscallError(errno, operation);
  }
}
