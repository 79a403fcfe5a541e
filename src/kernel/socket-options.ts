import { DeadpeerError } from "../errors.js";
import {
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SOL_SOCKET,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_RTO_MAX_MS,
  TCP_USER_TIMEOUT,
} from "./abi.js";
import { errnoName } from "./errno.js";
import { lastErrno, libc } from "./libc.js";
import { socketError } from "./socket-error.js";

/** What one socket holds about dead peers, as the kernel answers it. */
export interface SocketSettings {
  /** The times and the count are those that would hold if keepalive were on, also while it is off. */
  readonly keepalive: {
    readonly enabled: boolean;
    readonly idleMs: number;
    readonly intervalMs: number;
    readonly count: number;
  };
  /** 0: the system's retransmission limits decide. */
  readonly userTimeoutMs: number;
  /** null: this kernel has no TCP_RTO_MAX_MS (before 6.15). */
  readonly rtoMaxMs: number | null;
}

/** What to change; what is left out stays as it is. */
export interface SocketSettingsChange {
  /** null switches keepalive off and leaves its times alone; anything else switches it on, with the times given. */
  readonly keepalive?: {
    /** false: the times are for whoever switches it on, and it is off. */
    readonly enabled?: boolean;
    readonly idleMs?: number;
    readonly intervalMs?: number;
    readonly count?: number;
  } | null;
  /** 0 gives the decision back to the system's retransmission limits. */
  readonly userTimeoutMs?: number;
  readonly rtoMaxMs?: number;
}

/** An option of TCP sockets that deadpeer sets. */
export interface SocketOption {
  readonly name: string;
  readonly level: number;
  readonly number: number;
  /** Milliseconds in one of the kernel's units; null: not a time. */
  readonly unitMs: 1 | 1_000 | null;
  /** What the kernel accepts, in its units (include/net/tcp.h: MAX_TCP_KEEPIDLE and the like; do_tcp_setsockopt). */
  readonly min: number;
  readonly max: number;
  /** How much larger the kernel may hold it: what is kept in jiffies is rounded up to one, 10 ms at most (HZ=100). */
  readonly roundsUpBy: number;
}

const tcp = { level: IPPROTO_TCP, roundsUpBy: 0 } as const;
const keepalive: SocketOption = {
  name: "SO_KEEPALIVE",
  level: SOL_SOCKET,
  number: SO_KEEPALIVE,
  unitMs: null,
  min: 0,
  max: 1,
  roundsUpBy: 0,
};
const idle: SocketOption = {
  ...tcp,
  name: "TCP_KEEPIDLE",
  number: TCP_KEEPIDLE,
  unitMs: 1_000,
  min: 1,
  max: 32_767,
};
const interval: SocketOption = {
  ...tcp,
  name: "TCP_KEEPINTVL",
  number: TCP_KEEPINTVL,
  unitMs: 1_000,
  min: 1,
  max: 32_767,
};
const count: SocketOption = {
  ...tcp,
  name: "TCP_KEEPCNT",
  number: TCP_KEEPCNT,
  unitMs: null,
  min: 1,
  max: 127,
};
const userTimeout: SocketOption = {
  ...tcp,
  name: "TCP_USER_TIMEOUT",
  number: TCP_USER_TIMEOUT,
  unitMs: 1,
  min: 0,
  max: 2_147_483_647,
};
const rtoMax: SocketOption = {
  ...tcp,
  name: "TCP_RTO_MAX_MS",
  number: TCP_RTO_MAX_MS,
  unitMs: 1,
  min: 1_000,
  max: 120_000,
  roundsUpBy: 9,
};

// One buffer for all calls: they are synchronous, and a survey makes some hundred thousand of them.
const ints = new Int32Array(2);
const value = Buffer.from(ints.buffer, 0, 4);
const valueLength = Buffer.from(ints.buffer, 4, 4);
/** A value, and behind it what the kernel does not look at, but BPF programs at the cgroup do. */
const signed = new Int32Array(4);
const signedValue = Buffer.from(signed.buffer);

/** Unknown until a TCP socket has been asked once. */
let kernelHasRtoMax: boolean | undefined;

/**
 * Reads what a TCP socket of this process holds.
 *
 * @throws DeadpeerError `no-socket` if the descriptor is closed or not a TCP socket; `ffi-unavailable`, `platform-unsupported`.
 * @example readSettings(fd).keepalive.idleMs // 7200000
 */
export function readSettings(fd: number): SocketSettings {
  const enabled = get(fd, keepalive) !== 0;
  const idleMs = get(fd, idle) * 1_000;
  const intervalMs = get(fd, interval) * 1_000;
  const probes = get(fd, count);
  const userTimeoutMs = get(fd, userTimeout);
  return {
    keepalive: { enabled, idleMs, intervalMs, count: probes },
    userTimeoutMs,
    rtoMaxMs: getRtoMax(fd),
  };
}

/**
 * What setsockopt is to be called with for a change, in this order; checked against the kernel's limits.
 *
 * The order matters on a live connection. Switching keepalive off goes first: nothing that follows can end it then. Interval,
 * count and user timeout are only looked at when a timer fires: they go next, so that no timer fires under half of the new
 * settings. SO_KEEPALIVE then starts the timer, counting from *now*; TCP_KEEPIDLE comes last because setting it on a socket with
 * keepalive on starts the timer anew at "idle minus the silence so far" (tcp_sock_set_keepidle_locked), so a connection that has
 * long been silent is probed at once.
 *
 * @throws DeadpeerError `value-refused` for what the kernel would refuse.
 */
export function optionWrites(change: SocketSettingsChange): [option: SocketOption, value: number][] {
  const writes: [SocketOption, number][] = [];
  const add = (option: SocketOption, wanted: number | undefined): void => {
    if (wanted !== undefined) writes.push([option, inUnits(option, wanted)]);
  };
  const off = change.keepalive === null || change.keepalive?.enabled === false;
  if (off) add(keepalive, 0);
  add(rtoMax, change.rtoMaxMs);
  add(userTimeout, change.userTimeoutMs);
  if (change.keepalive != null) {
    add(interval, change.keepalive.intervalMs);
    add(count, change.keepalive.count);
    if (!off) add(keepalive, 1);
    add(idle, change.keepalive.idleMs);
  }
  return writes;
}

/**
 * Changes a TCP socket of this process and reads back what the kernel now holds. Everything is checked against the kernel's
 * limits before anything is written, so a refused value leaves the socket as it was.
 *
 * @throws DeadpeerError `value-refused` for what the kernel would refuse or did not keep, `feature-missing` for rtoMaxMs
 *   before Linux 6.15, `no-socket` as readSettings.
 * @param sign a word for BPF programs at the cgroup, which find it 8 bytes behind the beginning of each value.
 * @example writeSettings(fd, { keepalive: { idleMs: 20_000, intervalMs: 5_000, count: 3 }, userTimeoutMs: 35_000 });
 */
export function writeSettings(fd: number, change: SocketSettingsChange, sign?: number): void {
  const writes = optionWrites(change);
  for (const [option, wanted] of writes) set(fd, option, wanted, sign);
  for (const [option, wanted] of writes) {
    const held = get(fd, option);
    if (held < wanted || held > wanted + option.roundsUpBy)
      throw new DeadpeerError(
        "value-refused",
        `${option.name}: asked for ${inWords(option, wanted)}, but the kernel holds ${inWords(option, held)}`,
        { operation: `setsockopt(${option.name})` },
      );
  }
}

/**
 * Has TCP send no more probes: SO_KEEPALIVE alone, in one system call, for servers that do it with each connection. A descriptor that
 * is closed already is left alone.
 *
 * @throws DeadpeerError as libcProblem.
 * @example switchProbesOff(fd);
 */
export function switchProbesOff(fd: number): void {
  // The kernel refuses it of no socket (sk_setsockopt).
  setFrom(fd, keepalive, 0);
}

/** Converts to the kernel's unit and refuses what it would refuse or cut off. */
function inUnits(option: SocketOption, wanted: number): number {
  const units = wanted / (option.unitMs ?? 1);
  const given = `${option.name} ${wanted}${option.unitMs === null ? "" : " ms"}`;
  if (!(units >= option.min && units <= option.max))
    throw refused(`${given} is refused by the kernel`, option);
  if (!Number.isInteger(units))
    throw refused(`${given} cannot be kept: the kernel counts in whole ${unitName(option)}`, option);
  return units;
}

function refused(problem: string, option: SocketOption, errno?: string): DeadpeerError {
  const range = `${option.min} to ${inWords(option, option.max)}`;
  return new DeadpeerError("value-refused", `${problem}; allowed are ${range}`, {
    operation: `setsockopt(${option.name})`,
    ...(errno === undefined ? {} : { errno }),
  });
}

function unitName(option: SocketOption): string {
  if (option.unitMs === null) return "numbers";
  return option.unitMs === 1 ? "milliseconds" : "seconds";
}

function inWords(option: SocketOption, units: number): string {
  if (option.unitMs === null) return String(units);
  return option.unitMs === 1 ? `${units} ms` : `${units} s`;
}

function get(fd: number, option: SocketOption): number {
  if (!getInto(fd, option)) throw socketError(lastErrno(), `getsockopt(${option.name})`);
  return ints[0] as number;
}

/** Fills `ints[0]`; false if the call failed. */
function getInto(fd: number, option: SocketOption): boolean {
  ints[1] = 4;
  return libc().getsockopt(fd, option.level, option.number, value, valueLength) >= 0;
}

/** Called after other options were read, so the descriptor is known to be a TCP socket. */
function getRtoMax(fd: number): number | null {
  if (kernelHasRtoMax === false) return null;
  if (getInto(fd, rtoMax)) {
    kernelHasRtoMax = true;
    return ints[0] as number;
  }
  const errno = lastErrno();
  if (errnoName(errno) !== "ENOPROTOOPT") throw socketError(errno, `getsockopt(${rtoMax.name})`);
  kernelHasRtoMax = false;
  return null;
}

function set(fd: number, option: SocketOption, units: number, sign?: number): void {
  if (setFrom(fd, option, units, sign) >= 0) return;
  const errno = lastErrno();
  const name = errnoName(errno);
  const operation = `setsockopt(${option.name})`;
  if (name === "EINVAL")
    throw refused(`${option.name} ${inWords(option, units)} is refused by the kernel`, option, name);
  if (option === rtoMax && name === "ENOPROTOOPT")
    throw new DeadpeerError(
      "feature-missing",
      `${operation}: this kernel has no TCP_RTO_MAX_MS; Linux 6.15 and later have it`,
      { operation, errno: name },
    );
  throw socketError(errno, operation);
}

function setFrom(fd: number, { level, number }: SocketOption, units: number, sign?: number): number {
  if (sign === undefined) {
    ints[0] = units;
    return libc().setsockopt(fd, level, number, value, 4);
  }
  // do_tcp_setsockopt and sk_setsockopt take longer values for an int's, and read the int alone.
  signed[0] = units;
  signed[2] = sign;
  return libc().setsockopt(fd, level, number, signedValue, signedValue.length);
}
