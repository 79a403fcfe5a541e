/**
 * The kernel's TCP states by number (include/net/tcp_states.h); the index is the number. 0 is none of the kernel's: it stands
 * for a number that this table does not know.
 */
const states = [
  "UNKNOWN",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  // A half-open connection on its listener; user space is told SYN_RECV by most interfaces.
  "NEW_SYN_RECV",
  // Linux 6.8 and later, in sock_diag's filter only: bound, neither listening nor connected.
  "BOUND_INACTIVE",
] as const;

/** A TCP state by the kernel's name for it. */
export type TcpState = (typeof states)[number];

/** Every state that a connection can be in, in the order of the kernel's numbers. */
export const tcpStates: readonly TcpState[] = states.slice(1);

const numbers: ReadonlyMap<string, number> = new Map(states.map((state, number) => [state, number]));

/**
 * The name of a state; `UNKNOWN` for a number that no kernel up to 6.18 gives.
 *
 * @example stateFromNumber(10) // "LISTEN"
 */
export function stateFromNumber(number: number): TcpState {
  return states[number] ?? "UNKNOWN";
}

/**
 * The kernel's number for a state; 0 for `UNKNOWN`.
 *
 * @example stateNumber("LISTEN") // 10
 */
export function stateNumber(state: TcpState): number {
  return numbers.get(state) ?? 0;
}
