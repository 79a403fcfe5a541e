import { existsSync, readdirSync } from "node:fs";
import { DeadpeerError } from "../../errors.js";
import { syscallNumbers } from "../abi.js";
import { errnoName } from "../errno.js";
import { OwnedFd } from "../fd.js";
import { check, lastErrno, libc, syscallError } from "../libc.js";
import { mountsOf } from "../mounts.js";
import { requireLinux } from "../platform.js";

/** include/uapi/linux/mount.h. */
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;

/**
 * The kernel's trace files, wherever they are. Where nobody has mounted them they are reached through a mount that stands in no
 * folder: only this process sees it, and it goes with the process however that ends.
 *
 * @example
 * using tracefs = Tracefs.open();
 * readdirSync(`${tracefs.path}/instances`);
 */
export class Tracefs implements Disposable {
  readonly path: string;
  readonly #mount: OwnedFd | null;

  private constructor(path: string, mount: OwnedFd | null) {
    this.path = path;
    this.#mount = mount;
  }

  /**
   * @throws DeadpeerError `permission-denied` without root, `feature-missing` where the kernel has no tracefs or, before Linux 5.2,
   *   nobody has mounted it; `ffi-unavailable` where it is not mounted and koffi is missing; `platform-unsupported`.
   */
  static open(): Tracefs {
    requireLinux("trace events");
    const mounted = mountsOf("tracefs").find(({ root }) => root === "/");
    const mount = mounted === undefined ? detachedMount() : null;
    const tracefs = new Tracefs(mounted?.path ?? `/proc/self/fd/${mount?.fd}`, mount);
    if (isReadable(tracefs.path)) return tracefs;
    tracefs.close();
    throw new DeadpeerError(
      "permission-denied",
      "the kernel's trace events may not be looked at; that needs root, and a kernel that is not locked down",
    );
  }

  /** Names of the trace instances that there are, whoever made them. */
  instances(): string[] {
    try {
      return readdirSync(`${this.path}/instances`);
    } catch {
      return [];
    }
  }

  close(): void {
    this.#mount?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Without root the folder is there and nothing in it. */
function isReadable(path: string): boolean {
  return existsSync(`${path}/instances`) && existsSync(`${path}/events/header_page`);
}

/** A mount of tracefs that is attached nowhere (fsmount(2)); closing it ends it. */
function detachedMount(): OwnedFd {
  const c = libc();
  const opened = c.fsopen(syscallNumbers.fsopen, "tracefs", FSOPEN_CLOEXEC);
  if (opened < 0) throw mountError(lastErrno(), "fsopen");
  using context = new OwnedFd(opened);
  if (c.fsconfig(syscallNumbers.fsconfig, context.fd, FSCONFIG_CMD_CREATE, null, null, 0) < 0)
    throw mountError(lastErrno(), "fsconfig");
  return new OwnedFd(check(c.syscall(syscallNumbers.fsmount, context.fd, FSMOUNT_CLOEXEC, 0, 0), "fsmount"));
}

function mountError(errno: number, operation: string): DeadpeerError {
  const name = errnoName(errno);
  const options = { operation, errno: name };
  switch (name) {
    case "EPERM":
    case "EACCES":
      return new DeadpeerError(
        "permission-denied",
        "trace events need CAP_SYS_ADMIN over the whole machine; run as root, outside of containers",
        options,
      );
    case "ENODEV":
      return new DeadpeerError(
        "feature-missing",
        "this kernel has no trace events (CONFIG_EVENT_TRACING)",
        options,
      );
    case "ENOSYS":
      return new DeadpeerError(
        "feature-missing",
        "tracefs is not mounted, and before Linux 5.2 it can only be mounted for all to see: mount -t tracefs nodev /sys/kernel/tracing",
        options,
      );
    default:
      return syscallError(errno, operation);
  }
}
