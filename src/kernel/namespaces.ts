import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  stat,
  statfsSync,
  statSync,
  writeSync,
} from "node:fs";
import { DeadpeerError } from "../errors.js";
import { CLONE_NEWNET } from "./abi.js";
import { errnoName } from "./errno.js";
import { lastErrno, libc, syscallError } from "./libc.js";
import { requireLinux } from "./platform.js";

/** A network namespace: its own interfaces, addresses, sockets and net.* sysctls. */
export interface NetworkNamespace {
  /** The namespace's inode number, as `readlink /proc/self/ns/net` and `lsns` show it. */
  readonly id: string;
  /** A file that stands for it: below /run/netns if it has a name there, else that of a process in it. */
  readonly path: string;
  /** As `ip netns` knows it; null without one. */
  readonly name: string | null;
}

// /proc/self is the process's first thread; a worker that has called setns is only seen through thread-self.
const ownPath = "/proc/thread-self/ns/net";
const namedDirectory = "/run/netns";
/** statfs(2) of nsfs; a leftover file in /run/netns that nothing is mounted on has another. */
const NSFS_MAGIC = 0x6e736673;

/**
 * The network namespace that this thread is in.
 *
 * @example currentNamespace().id // "4026531840"
 */
export function currentNamespace(): NetworkNamespace {
  requireLinux("network namespaces");
  const id = String(statSync(ownPath).ino);
  const named = namedNamespaces().find((namespace) => namespace.id === id);
  return named ?? { id, path: ownPath, name: null };
}

/**
 * The network namespace behind a file such as `/run/netns/blue` or `/proc/4711/ns/net`, or with a name that `ip netns` knows.
 *
 * @throws DeadpeerError `no-namespace` if there is none, `permission-denied` if this process may not look.
 * @example namespaceAt("blue").path // "/run/netns/blue"
 */
export function namespaceAt(pathOrName: string): NetworkNamespace {
  requireLinux("network namespaces");
  const path = pathOrName.includes("/") ? pathOrName : `${namedDirectory}/${pathOrName}`;
  const inode = fileOperation(path, () => {
    const { type } = statfsSync(path);
    return type === NSFS_MAGIC ? statSync(path).ino : null;
  });
  if (inode === null) throw new DeadpeerError("no-namespace", `${path} is not a network namespace`);
  const name = path.startsWith(`${namedDirectory}/`) ? path.slice(namedDirectory.length + 1) : null;
  return { id: String(inode), path, name };
}

/**
 * Every network namespace that a process of the host is in, and every one with a name below /run/netns. The own one comes
 * first. A process that ends meanwhile is passed over; `unreadable` counts the processes whose namespace may not be seen
 * (CAP_SYS_PTRACE would be needed).
 *
 * @example for (const namespace of allNamespaces().namespaces) inNamespace(namespace, () => listSockets());
 */
export function allNamespaces(): { namespaces: NetworkNamespace[]; unreadable: number } {
  const found = new Map<string, NetworkNamespace>();
  const own = currentNamespace();
  found.set(own.id, own);
  for (const namespace of namedNamespaces()) if (!found.has(namespace.id)) found.set(namespace.id, namespace);
  let unreadable = 0;
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const path = `/proc/${pid}/ns/net`;
    try {
      // "net:[4026531840]"
      const id = readlinkSync(path).slice("net:[".length, -1);
      if (!found.has(id)) found.set(id, { id, path, name: null });
    } catch (error) {
      // ENOENT and ESRCH: the process has ended, or is a zombie and in no namespace any more.
      if (isDenied(error)) unreadable++;
    }
  }
  return { namespaces: [...found.values()], unreadable };
}

/** What stands below /run/netns, as `ip netns add` or a container engine put it there. */
function namedNamespaces(): NetworkNamespace[] {
  let names: string[];
  try {
    names = readdirSync(namedDirectory);
  } catch {
    return [];
  }
  const namespaces: NetworkNamespace[] = [];
  for (const name of names) {
    try {
      namespaces.push(namespaceAt(`${namedDirectory}/${name}`));
    } catch {
      // Removed meanwhile, or a leftover of one that was.
    }
  }
  return namespaces;
}

/**
 * Runs `work` inside a network namespace and comes back. Sockets opened inside belong to that namespace for good, and
 * /proc/sys/net read inside is that namespace's.
 *
 * Only synchronous work: setns(2) moves the calling thread, and it is this thread alone that runs JavaScript, synchronous file
 * calls and foreign functions. What `work` leaves for later runs outside, and that is more than it seems: node:net opens the
 * socket of a connect(), and of a listen() with an address, only on a later turn.
 *
 * If the way back fails the process is aborted: going on in the wrong namespace would show and change the wrong host's network.
 *
 * @throws DeadpeerError `permission-denied` without CAP_SYS_ADMIN, `no-namespace` if it has gone, `bad-option` for a `work`
 *   that returns a promise; and whatever `work` throws.
 * @example inNamespace(namespaceAt("blue"), () => readSysctl("net.ipv4.tcp_retries2"))
 */
export function inNamespace<T>(namespace: NetworkNamespace, work: () => T): T {
  requireLinux("network namespaces");
  const home = openSync(ownPath, "r");
  try {
    if (String(fstatSync(home).ino) === namespace.id) return synchronous(work());
    startThreadPool();
    enter(namespace);
    let result: T;
    try {
      result = work();
    } finally {
      comeBack(home);
    }
    return synchronous(result);
  } finally {
    closeSync(home);
  }
}

let threadPoolStarted = false;

/**
 * libuv starts its threads at the first asynchronous file call or name look-up, and a new thread is born in the namespace of
 * the one that starts it. Should `work` cause the first, they would look names up in the wrong namespace for ever.
 */
function startThreadPool(): void {
  if (threadPoolStarted) return;
  threadPoolStarted = true;
  stat("/", () => {});
}

function enter(namespace: NetworkNamespace): void {
  const target = fileOperation(namespace.path, () => openSync(namespace.path, "r"));
  try {
    // The path may by now stand for another one: process numbers and names are used again.
    if (String(fstatSync(target).ino) !== namespace.id) throw gone(namespace.path);
    if (libc().setns(target, CLONE_NEWNET) >= 0) return;
    const errno = lastErrno();
    const name = errnoName(errno);
    const operation = "setns(CLONE_NEWNET)";
    if (name === "EPERM")
      throw new DeadpeerError(
        "permission-denied",
        `entering the network namespace ${namespace.path} needs CAP_SYS_ADMIN; run as root`,
        { operation, errno: name },
      );
    if (name === "EINVAL")
      throw new DeadpeerError("no-namespace", `${namespace.path} is a namespace, but not of a network`, {
        operation,
        errno: name,
      });
    throw syscallError(errno, operation);
  } finally {
    closeSync(target);
  }
}

function comeBack(home: number): void {
  if (libc().setns(home, CLONE_NEWNET) >= 0) return;
  const reason = errnoName(lastErrno());
  writeSync(
    2,
    `deadpeer: cannot return to the own network namespace (setns: ${reason}); ending the process\n`,
  );
  process.abort();
}

function synchronous<T>(result: T): T {
  if (typeof (result as { then?: unknown } | null | undefined)?.then === "function")
    throw new DeadpeerError(
      "bad-option",
      "inNamespace runs synchronous functions only: what a promise does later would run outside the namespace",
    );
  return result;
}

/** Runs one file call on a namespace's file and says what its failure means. */
function fileOperation<T>(path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    if (isDenied(error))
      throw new DeadpeerError(
        "permission-denied",
        `looking at ${path} needs CAP_SYS_PTRACE or to be the process's owner; run as root`,
        { errno: (error as NodeJS.ErrnoException).code ?? "EACCES", cause: error },
      );
    throw gone(path, error);
  }
}

function gone(path: string, cause?: unknown): DeadpeerError {
  return new DeadpeerError("no-namespace", `there is no network namespace at ${path}`, { cause });
}

function isDenied(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "EACCES" || code === "EPERM";
}
