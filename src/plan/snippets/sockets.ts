import type { RoundedSettings } from "./rounding.js";

/** One setsockopt call of Linux, by the C name and number of its option. */
export interface SocketOption {
  readonly level: "SOL_SOCKET" | "IPPROTO_TCP";
  readonly name: string;
  /** From include/uapi/linux/tcp.h and asm-generic/socket.h (x86-64 and arm64). */
  readonly number: number;
  readonly value: number;
  /** Where the value is not whole seconds or a plain number. */
  readonly unit?: "ms";
}

/**
 * The calls that give a Linux socket these settings. Keepalive that is off is switched off; what is left to the system is left
 * away.
 */
export function linuxSocketOptions({
  keepalive,
  userTimeoutMs,
  rtoMaxMs,
}: RoundedSettings): readonly SocketOption[] {
  const options: SocketOption[] = [
    { level: "SOL_SOCKET", name: "SO_KEEPALIVE", number: 9, value: keepalive === null ? 0 : 1 },
  ];
  if (keepalive !== null)
    options.push(
      { level: "IPPROTO_TCP", name: "TCP_KEEPIDLE", number: 4, value: keepalive.idleS },
      { level: "IPPROTO_TCP", name: "TCP_KEEPINTVL", number: 5, value: keepalive.intervalS },
      { level: "IPPROTO_TCP", name: "TCP_KEEPCNT", number: 6, value: keepalive.count },
    );
  if (userTimeoutMs > 0)
    options.push({
      level: "IPPROTO_TCP",
      name: "TCP_USER_TIMEOUT",
      number: 18,
      value: userTimeoutMs,
      unit: "ms",
    });
  if (rtoMaxMs !== undefined)
    options.push({ level: "IPPROTO_TCP", name: "TCP_RTO_MAX_MS", number: 44, value: rtoMaxMs, unit: "ms" });
  return options;
}
