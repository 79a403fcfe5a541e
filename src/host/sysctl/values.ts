import { formatDuration } from "../../plan/duration.js";
import { detectionTimes, retransmissionTimeoutMs } from "../../plan/model.js";
import type { SystemDefaults } from "../../plan/settings.js";

/** What a sysctl counts in. */
export type SysctlUnit = "s" | "ms" | "us" | "count";

/** A system-wide value that decides how long a dead peer goes unnoticed. */
export interface SysctlFact {
  /** As sysctl(8) writes it. */
  readonly name: string;
  readonly unit: SysctlUnit;
  /** What a fresh network namespace starts with (tcp_sk_init in net/ipv4/tcp_ipv4.c), whatever the host is set to. */
  readonly kernelDefault: number;
  /** What the value does, and for a time derived from it, that time. */
  readonly meaning: (value: number, system: SystemDefaults) => string;
}

/** RFC 6298 §2.1: the timeout of a SYN-ACK, before a round trip was measured (TCP_TIMEOUT_INIT). */
const initialRtoMs = 1_000;

/** tcp_orphan_retries() reads 0 as this while the connection can still send. */
const orphanRetriesForZero = 8;

const atLeast = (retries: number, { rtoMinMs, rtoMaxMs }: SystemDefaults): string =>
  `at least ${formatDuration(retransmissionTimeoutMs(retries, rtoMinMs, rtoMaxMs))}`;

/** Every sysctl that the detection of dead peers depends on. Source: Documentation/networking/ip-sysctl.rst, Linux 6.18. */
export const sysctlFacts: readonly SysctlFact[] = [
  {
    name: "net.ipv4.tcp_keepalive_time",
    unit: "s",
    kernelDefault: 7_200,
    meaning: () => "silence before the first keepalive probe",
  },
  {
    name: "net.ipv4.tcp_keepalive_intvl",
    unit: "s",
    kernelDefault: 75,
    meaning: () => "time between unanswered probes",
  },
  {
    name: "net.ipv4.tcp_keepalive_probes",
    unit: "count",
    kernelDefault: 9,
    meaning: (_, { keepalive: { idleMs, intervalMs, count } }) =>
      `unanswered probes until dead: ${formatDuration(idleMs + intervalMs * count)} idle`,
  },
  {
    name: "net.ipv4.tcp_retries1",
    unit: "count",
    kernelDefault: 3,
    meaning: (value, system) => `resends until the route is questioned: ${atLeast(value, system)}`,
  },
  {
    name: "net.ipv4.tcp_retries2",
    unit: "count",
    kernelDefault: 15,
    meaning: (value, system) => `resends until data in flight fails: ${atLeast(value, system)}`,
  },
  {
    name: "net.ipv4.tcp_syn_retries",
    unit: "count",
    kernelDefault: 6,
    meaning: (_, system) => `a connect nobody answers fails after ${formatDuration(connectMs(system))}`,
  },
  {
    name: "net.ipv4.tcp_syn_linear_timeouts",
    unit: "count",
    kernelDefault: 4,
    meaning: () => "connect retries a second apart, before they double",
  },
  {
    name: "net.ipv4.tcp_synack_retries",
    unit: "count",
    kernelDefault: 5,
    meaning: (value, { rtoMaxMs }) =>
      `an accept whose client vanished ends after ${formatDuration(
        retransmissionTimeoutMs(value, initialRtoMs, rtoMaxMs),
      )}`,
  },
  {
    name: "net.ipv4.tcp_orphan_retries",
    unit: "count",
    kernelDefault: 0,
    meaning: (value, system) =>
      value === 0
        ? `resends after close (0 stands for ${orphanRetriesForZero}): ${atLeast(orphanRetriesForZero, system)}`
        : `resends after close: ${atLeast(value, system)}`,
  },
  {
    name: "net.ipv4.tcp_fin_timeout",
    unit: "s",
    kernelDefault: 60,
    meaning: () => "wait for the peer's FIN after close",
  },
  {
    name: "net.ipv4.tcp_rto_max_ms",
    unit: "ms",
    kernelDefault: 120_000,
    meaning: () => "longest wait between resends; new sockets only",
  },
  {
    name: "net.ipv4.tcp_rto_min_us",
    unit: "us",
    kernelDefault: 200_000,
    meaning: () => "shortest wait between resends; new sockets only",
  },
];

function connectMs(system: SystemDefaults): number {
  const { connectingMs } = detectionTimes({ keepalive: null, userTimeoutMs: 0 }, system);
  // Without a user timeout the model always has a time for it.
  return connectingMs ?? 0;
}

/**
 * A value in words.
 *
 * @example readable("s", 7200) // "2h"
 */
export function readable(unit: SysctlUnit, value: number): string {
  if (unit === "count") return String(value);
  // The kernel takes some negative numbers and reports them back; there is no duration to write for them.
  if (value < 0) return `${value} ${unit}`;
  return formatDuration(unit === "s" ? value * 1_000 : unit === "ms" ? value : value / 1_000);
}
