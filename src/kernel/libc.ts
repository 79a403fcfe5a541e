import { createRequire } from "node:module";
import type * as Koffi from "koffi";
import { DeadpeerError } from "../errors.js";
import { supportedArchitectures } from "./abi.js";
import { errnoName, errnoText } from "./errno.js";

/**
 * The C library's calls that deadpeer uses, typed for buffers. Each returns what C returns; `check` turns a negative return
 * into an error. Loaded on first use: what needs no system call never loads the foreign-function interface.
 */
export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Buffer, length: number): number;
  getsockname(fd: number, address: Buffer, length: Buffer): number;
  accept4(fd: number, address: Buffer, length: Buffer, flags: number): number;
  sendto(
    fd: number,
    data: Buffer,
    length: number,
    flags: number,
    address: Buffer | null,
    addressLength: number,
  ): number;
  recv(fd: number, into: Buffer, length: number, flags: number): number;
  send(fd: number, data: Buffer, length: number, flags: number): number;
  read(fd: number, into: Buffer, length: number): number;
  write(fd: number, data: Buffer, length: number): number;
  close(fd: number): number;
  open(path: string, flags: number, mode: number): number;
  readlinkat(directory: number, path: string, into: Buffer, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: Buffer, length: Buffer): number;
  setsockopt(fd: number, level: number, name: number, value: Buffer, length: number): number;
  setns(fd: number, kind: number): number;
  ioctl(fd: number, request: number, argument: Buffer): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, event: Buffer | null): number;
  epoll_wait(epoll: number, events: Buffer, most: number, timeoutMs: number): number;
  eventfd(count: number, flags: number): number;
  flock(fd: number, operation: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  /** Zero-terminated strings; the array ends with null. Returns only if it failed. */
  execvp(file: Buffer, argv: readonly (Buffer | null)[]): number;
  /** With null the signal's default. */
  signal(number: number, handler: null): unknown;
  /** syscall(2) with up to four integer arguments, for calls that the C library may not wrap. */
  syscall(number: number, a: number, b: number, c: number, d: number): number;
  /** syscall(2) for fsopen(2) and fsconfig(2), which C libraries wrap only since 2022; `number` is their own. */
  fsopen(number: number, type: string, flags: number): number;
  fsconfig(
    number: number,
    fd: number,
    command: number,
    key: string | null,
    value: Buffer | null,
    extra: number,
  ): number;
  /** syscall(2) for bpf(2), which no C library wraps; `number` is its own. */
  bpf(number: number, command: number, attributes: Buffer, length: number): number;
  setrlimit(resource: number, limit: Buffer): number;
}

interface Loaded {
  readonly libc: Libc;
  readonly errno: () => number;
  readonly address: (of: Buffer) => bigint;
}

let loaded: Loaded | DeadpeerError | undefined;

function load(): Loaded | DeadpeerError {
  if (process.platform !== "linux")
    return new DeadpeerError(
      "platform-unsupported",
      `this needs Linux system calls; on ${process.platform} deadpeer can plan, and guard with what Node itself offers`,
    );
  // Elsewhere numbers, layouts or byte order differ (abi.ts), and a wrong guess would read nonsense or change the wrong option.
  if (!supportedArchitectures.includes(process.arch))
    return new DeadpeerError(
      "platform-unsupported",
      `this needs Linux system calls on ${supportedArchitectures.join(" or ")}, the architectures whose layouts deadpeer knows; this is ${process.arch}`,
    );
  let koffi: typeof Koffi;
  try {
    koffi = createRequire(import.meta.url)("koffi") as typeof Koffi;
  } catch (cause) {
    return new DeadpeerError(
      "ffi-unavailable",
      `koffi, the optional dependency that reaches the kernel, cannot be loaded on ${process.platform}-${process.arch}; install it with: npm install koffi`,
      { cause },
    );
  }
  try {
    const lib = koffi.load(null);
    return {
      errno: () => koffi.errno(),
      address: (of) => koffi.address(of),
      libc: {
        socket: lib.func("int socket(int, int, int)"),
        bind: lib.func("int bind(int, const void *, uint32_t)"),
        getsockname: lib.func("int getsockname(int, void *, void *)"),
        accept4: lib.func("int accept4(int, void *, void *, int)"),
        sendto: lib.func("long sendto(int, const void *, size_t, int, const void *, uint32_t)"),
        recv: lib.func("long recv(int, void *, size_t, int)"),
        send: lib.func("long send(int, const void *, size_t, int)"),
        read: lib.func("long read(int, void *, size_t)"),
        write: lib.func("long write(int, const void *, size_t)"),
        close: lib.func("int close(int)"),
        open: lib.func("int open(const char *, int, uint32_t)"),
        readlinkat: lib.func("long readlinkat(int, const char *, void *, size_t)"),
        getsockopt: lib.func("int getsockopt(int, int, int, void *, void *)"),
        setsockopt: lib.func("int setsockopt(int, int, int, const void *, uint32_t)"),
        setns: lib.func("int setns(int, int)"),
        ioctl: lib.func("int ioctl(int, unsigned long, void *)"),
        epoll_create1: lib.func("int epoll_create1(int)"),
        epoll_ctl: lib.func("int epoll_ctl(int, int, int, void *)"),
        epoll_wait: lib.func("int epoll_wait(int, void *, int, int)"),
        eventfd: lib.func("int eventfd(uint32_t, int)"),
        flock: lib.func("int flock(int, int)"),
        fcntl: lib.func("int fcntl(int, int, int)"),
        execvp: lib.func("int execvp(const void *, const void **)"),
        signal: lib.func("void *signal(int, void *)"),
        syscall: lib.func("long syscall(long, long, long, long, long)"),
        fsopen: lib.func("long syscall(long, const char *, uint32_t)"),
        fsconfig: lib.func("long syscall(long, int, uint32_t, const char *, const void *, int)"),
        bpf: lib.func("long syscall(long, int, void *, uint32_t)"),
        setrlimit: lib.func("int setrlimit(int, const void *)"),
      },
    };
  } catch (cause) {
    return new DeadpeerError("ffi-unavailable", `the C library cannot be reached: ${String(cause)}`, {
      cause,
    });
  }
}

function loadOnce(): Loaded {
  loaded ??= load();
  if (loaded instanceof DeadpeerError) throw loaded;
  return loaded;
}

/**
 * The C library.
 *
 * @throws DeadpeerError `platform-unsupported` off Linux, `ffi-unavailable` without koffi.
 */
export function libc(): Libc {
  return loadOnce().libc;
}

/** Why the C library cannot be used here, or null if it can. Never throws. */
export function libcProblem(): DeadpeerError | null {
  loaded ??= load();
  return loaded instanceof DeadpeerError ? loaded : null;
}

/** errno's number, meaningful only right after a call that returned a negative value. */
export function lastErrno(): number {
  return loadOnce().errno();
}

/** Where a buffer's bytes lie, for structures with pointers in them. The caller keeps the buffer until the call is over. */
export function addressOf(buffer: Buffer): bigint {
  return loadOnce().address(buffer);
}

/**
 * Passes a non-negative return through.
 *
 * @param operation names the call for the message, e.g. `getsockopt(TCP_INFO)`.
 * @throws DeadpeerError `permission-denied` for EPERM and EACCES, else `syscall-failed`; `errno` holds its name.
 */
export function check(result: number, operation: string): number {
  if (result >= 0) return result;
  throw syscallError(lastErrno(), operation);
}

/** The error for an errno that the caller has read itself. */
export function syscallError(errno: number, operation: string): DeadpeerError {
  const name = errnoName(errno);
  const code = name === "EPERM" || name === "EACCES" ? "permission-denied" : "syscall-failed";
  return new DeadpeerError(code, `${operation}: ${errnoText(errno)} (${name})`, { operation, errno: name });
}
