import { readdirSync, readlinkSync } from "node:fs";
import { errnoName } from "./errno.js";
import { readLimit, setLimit } from "./limits.js";
import { check, lastErrno, libc, syscallError } from "./libc.js";

/** include/uapi/asm-generic/fcntl.h. */
const F_GETFD = 1;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const FD_CLOEXEC = 1;
const O_NONBLOCK = 0o4000;

/** Those that Node ignores from its start on; a handler falls back to the default at execve(2), what is ignored stays so. */
const ignoredByNode = { SIGPIPE: 13, SIGXFSZ: 25 } as const;

/** libuv marks the descriptors that it was started with close-on-exec up to this one (uv_disable_stdio_inheritance). */
const lastMarked = 15;

/**
 * Makes this process another program, as execvp(3) does: process number, parent, terminal, environment and folder stay. What
 * Node has changed in them is put back, as far as it can be known. Which signals were ignored cannot: Node forgets it.
 *
 * @param command the program, looked for in PATH, and its arguments; as bytes, since they need not be UTF-8.
 * @param inherited what `inheritedDescriptors` found when this process began.
 * @throws DeadpeerError `permission-denied`, or `syscall-failed` with the `errno`: ENOENT where there is no such program. This
 *   process can then only say so and end.
 * @example execProgram([Buffer.from("sh"), Buffer.from("-c"), Buffer.from("exit 3")], inheritedDescriptors())
 */
export function execProgram(command: readonly Buffer[], inherited: readonly number[]): never {
  const c = libc();
  const strings = command.map((word) => Buffer.concat([word, Buffer.of(0)]));
  const [file] = strings;
  if (file === undefined) throw new TypeError("a command has at least the program's name");
  restoreOpenFiles();
  for (const number of Object.values(ignoredByNode)) c.signal(number, null);
  for (const fd of [0, 1, 2, ...inherited]) prepareDescriptor(fd);
  c.execvp(file, [...strings, null]);
  throw syscallError(lastErrno(), `execvp(${String(command[0])})`);
}

/**
 * Node has raised the soft limit of open files to the hard one (PlatformInit in node.cc). What it was, our parent still has, unless
 * somebody between the two has changed it.
 */
function restoreOpenFiles(): void {
  const own = readLimit("Max open files");
  const parents = readLimit("Max open files", process.ppid);
  if (own === null || parents === null || parents.hard !== own.hard || parents.soft > own.soft) return;
  setLimit("Max open files", parents);
}

/** Keeps a descriptor open over execve(2), and waiting, as programs expect their standard streams; none is no error. */
function prepareDescriptor(fd: number): void {
  const c = libc();
  const flags = c.fcntl(fd, F_GETFD, 0);
  if (flags < 0) {
    const errno = lastErrno();
    if (errnoName(errno) === "EBADF") return;
    throw syscallError(errno, "fcntl(F_GETFD)");
  }
  check(c.fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC), "fcntl(F_SETFD)");
  // Node lets its standard streams not wait; others' descriptors it leaves alone.
  if (fd > 2) return;
  const status = check(c.fcntl(fd, F_GETFL, 0), "fcntl(F_GETFL)");
  if ((status & O_NONBLOCK) !== 0) check(c.fcntl(fd, F_SETFL, status & ~O_NONBLOCK), "fcntl(F_SETFL)");
}

/**
 * The descriptors beyond the standard streams that this process was started with and that libuv has marked to be closed. To be
 * asked for before this process opens anything: Node's own, which fill the gaps, are told by what they are. They begin with an
 * epoll; the others are event counters, pipes with both ends here, and a /dev/null.
 */
export function inheritedDescriptors(): number[] {
  const links = new Map<number, string>();
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      links.set(Number(name), readlinkSync(`/proc/self/fd/${name}`));
    } catch {
      // The one through which the folder was read.
    }
  }
  const own = [...links].filter(([, link]) => link.startsWith("anon_inode:")).map(([fd]) => fd);
  const firstOwn = Math.min(...own);
  const pipes = [...links.values()].filter((link) => link.startsWith("pipe:"));
  return [...links]
    .filter(([fd]) => fd > 2 && fd <= lastMarked)
    .filter(([fd, link]) => {
      if (link.startsWith("anon_inode:")) return false;
      if (fd < firstOwn) return true;
      return link !== "/dev/null" && pipes.indexOf(link) === pipes.lastIndexOf(link);
    })
    .map(([fd]) => fd);
}
