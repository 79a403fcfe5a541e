import { retransmissionTimeoutMs } from "./model.js";
import { linuxDefaults, type SystemDefaults } from "./settings.js";

/** sysctl_tcp_retries2 is a u8; fewer than 1 would end a connection at its first retransmission. */
const limits = { min: 1, max: 255 };

/** RFC 1122 §4.2.3.5: R2, the time before giving up, should be at least 100 s. */
export const rfc1122LeastMs = 100_000;

/** The least time that data in flight waits under a tcp_retries2: at the shortest retransmission timeout. */
export function retries2Ms(retries2: number, system: SystemDefaults = linuxDefaults): number {
  return retransmissionTimeoutMs(retries2, system.rtoMinMs, system.rtoMaxMs);
}

/**
 * The tcp_retries2 that stands in for a user timeout, which no sysctl sets: the largest that can give up in time.
 *
 * @example retries2Within(35_000) // 6, at least 25.4 s
 */
export function retries2Within(budgetMs: number, system: SystemDefaults = linuxDefaults): number {
  let retries = limits.min;
  while (retries < limits.max && retries2Ms(retries + 1, system) <= budgetMs) retries++;
  return retries;
}
