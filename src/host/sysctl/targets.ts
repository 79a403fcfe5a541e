import { DeadpeerError } from "../../errors.js";
import { formatDuration } from "../../plan/duration.js";
import { linuxLimits, type SystemDefaults } from "../../plan/settings.js";

/** What the system's defaults shall be; what is absent stays as it is. */
export interface SystemWish {
  readonly idleMs?: number;
  readonly intervalMs?: number;
  readonly count?: number;
  /** tcp_retries2: the only bound on data in flight that a system-wide value can give. */
  readonly retries2?: number;
}

/** A sysctl and the value it shall have. */
export interface SysctlTarget {
  readonly name: string;
  readonly value: number;
}

/** tcp_retries2 is a byte in the kernel; 0 would give data up at the first loss. */
const retries2Limits = { min: 1, max: 255 };

/**
 * The values to write for a wish. The kernel takes any idle time and interval, negative ones too, so what it would do badly
 * with is refused here: what TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT refuse.
 *
 * @throws DeadpeerError `bad-option`: out of range, or no whole number of seconds where the sysctl counts seconds.
 * @example sysctlTargets({ idleMs: 20_000 }) // [{ name: "net.ipv4.tcp_keepalive_time", value: 20 }]
 */
export function sysctlTargets(wish: SystemWish): SysctlTarget[] {
  const targets: SysctlTarget[] = [];
  if (wish.idleMs !== undefined)
    targets.push(seconds("net.ipv4.tcp_keepalive_time", wish.idleMs, linuxLimits.idleMs));
  if (wish.intervalMs !== undefined)
    targets.push(seconds("net.ipv4.tcp_keepalive_intvl", wish.intervalMs, linuxLimits.intervalMs));
  if (wish.count !== undefined)
    targets.push(whole("net.ipv4.tcp_keepalive_probes", wish.count, linuxLimits.count));
  if (wish.retries2 !== undefined)
    targets.push(whole("net.ipv4.tcp_retries2", wish.retries2, retries2Limits));
  return targets;
}

interface Range {
  readonly min: number;
  readonly max: number;
}

function seconds(name: string, ms: number, { min, max }: Range): SysctlTarget {
  if (!(ms >= min && ms <= max))
    throw new DeadpeerError(
      "bad-option",
      `${name}: ${formatDuration(ms)} is outside ${min / 1_000}s to ${max / 1_000}s`,
    );
  if (ms % 1_000 !== 0)
    throw new DeadpeerError("bad-option", `${name} counts whole seconds; ${formatDuration(ms)} is none`);
  return { name, value: ms / 1_000 };
}

function whole(name: string, value: number, { min, max }: Range): SysctlTarget {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new DeadpeerError("bad-option", `${name}: ${value} is not a whole number from ${min} to ${max}`);
  return { name, value };
}

/** What the system decides once the targets are written. */
export function withTargets(system: SystemDefaults, targets: readonly SysctlTarget[]): SystemDefaults {
  const value = (name: string): number | undefined =>
    targets.find((target) => target.name === `net.ipv4.${name}`)?.value;
  const ms = (name: string, otherwise: number): number => {
    const s = value(name);
    return s === undefined ? otherwise : s * 1_000;
  };
  return {
    ...system,
    keepalive: {
      idleMs: ms("tcp_keepalive_time", system.keepalive.idleMs),
      intervalMs: ms("tcp_keepalive_intvl", system.keepalive.intervalMs),
      count: value("tcp_keepalive_probes") ?? system.keepalive.count,
    },
    retries2: value("tcp_retries2") ?? system.retries2,
  };
}
