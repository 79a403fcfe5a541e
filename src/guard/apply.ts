import type { Socket } from "node:net";
import type { DeadpeerError } from "../errors.js";
import { libcProblem } from "../kernel/libc.js";
import { readSettings, switchProbesOff, writeSettings } from "../kernel/socket-options.js";
import type { KeepaliveSettings, Settings } from "../plan/settings.js";
import { baseFd } from "./inner-socket.js";

/** What became of the wanted settings. */
export interface Applied {
  /** `kernel`: written to the socket and read back. `node`: as far as Node itself can, unread. */
  readonly by: "kernel" | "node";
  /** What now holds, as far as can be told. */
  readonly settings: Settings;
  /** The settings that could not be made; empty if `by` is `kernel`. */
  readonly missing: readonly ("intervalMs" | "count" | "userTimeoutMs" | "rtoMaxMs")[];
  /** Why not: `platform-unsupported` or `ffi-unavailable`; null if `by` is `kernel`. */
  readonly problem: DeadpeerError | null;
}

/** Whether a socket can be given settings yet: the kernel needs a descriptor, Node a connection (nodejs/node#31663). */
export function isSettable(socket: Socket): boolean {
  return libcProblem() === null ? baseFd(socket) >= 0 : !socket.pending;
}

/**
 * Gives a connected or connecting socket its settings.
 *
 * @throws DeadpeerError `value-refused` if the kernel refuses or does not keep one, `feature-missing`, `no-socket`.
 */
export function applySettings(socket: Socket, settings: Settings): Applied {
  const problem = libcProblem();
  return problem === null ? applyByFd(baseFd(socket), settings) : applyByNode(socket, settings, problem);
}

/** The same for a descriptor, through the kernel alone. */
export function applyByFd(fd: number, settings: Settings): Applied {
  // Writing reads back, too, and throws if the kernel holds something else.
  writeSettings(fd, settings);
  return { by: "kernel", settings, missing: nothing, problem: null };
}

/**
 * Has TCP send no more probes over a connection. Node's own `setKeepAlive(false)` does nothing where Node has not switched them on, as
 * on sockets that inherited them from their listener.
 */
export function stopProbes(socket: Socket): void {
  if (libcProblem() === null) switchProbesOff(baseFd(socket));
  else socket.setKeepAlive(false);
}

const nothing: Applied["missing"] = [];

/** What the socket holds now, whoever set it; null if that cannot be read here. */
export function heldSettings(fd: number): Settings | null {
  if (libcProblem() !== null) return null;
  try {
    const { keepalive, userTimeoutMs, rtoMaxMs } = readSettings(fd);
    const { enabled, ...times } = keepalive;
    return {
      keepalive: enabled ? times : null,
      userTimeoutMs,
      ...(rtoMaxMs === null ? {} : { rtoMaxMs }),
    };
  } catch {
    // Closed meanwhile.
    return null;
  }
}

/** libuv (uv__tcp_keepalive, since 1.35) sets these with every delay on every platform that has them. */
const libuvKeepalive = { intervalMs: 1_000, count: 10 };

type SetKeepAlive = (enable: boolean, idleMs?: number, intervalMs?: number, count?: number) => void;

function applyByNode(socket: Socket, settings: Settings, problem: DeadpeerError): Applied {
  const wanted = settings.keepalive;
  const missing: Applied["missing"][number][] = [];
  let held: KeepaliveSettings | null = null;
  if (wanted === null) socket.setKeepAlive(false);
  else {
    (socket.setKeepAlive as SetKeepAlive)(true, wanted.idleMs, wanted.intervalMs, wanted.count);
    held = nodeSetsInterval() ? wanted : { idleMs: wanted.idleMs, ...libuvKeepalive };
    if (held.intervalMs !== wanted.intervalMs) missing.push("intervalMs");
    if (held.count !== wanted.count) missing.push("count");
  }
  if (settings.userTimeoutMs > 0) missing.push("userTimeoutMs");
  if (settings.rtoMaxMs !== undefined) missing.push("rtoMaxMs");
  return { by: "node", settings: { keepalive: held, userTimeoutMs: 0 }, missing, problem };
}

/** setKeepAlive takes interval and count since Node 26.4 (nodejs/node#63825) and ignores them before. */
function nodeSetsInterval(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return major > 26 || (major === 26 && minor >= 4);
}
