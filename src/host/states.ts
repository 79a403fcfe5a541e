import { DeadpeerError } from "../errors.js";
import { type TcpState, tcpStates } from "../kernel/tcp-states.js";
import { nearest } from "../plan/nearest.js";

/** The kernel's own affairs: its list calls the first SYN_RECV, and the second is neither listening nor connected. */
const unseen: ReadonlySet<TcpState> = new Set<TcpState>(["NEW_SYN_RECV", "BOUND_INACTIVE"]);

/** States that `--state` can name. */
const states: readonly TcpState[] = tcpStates.filter((state) => !unseen.has(state));

/** Every state but LISTEN: a listener is not a connection. */
export const connectionStates: readonly TcpState[] = states.filter((state) => state !== "LISTEN");

/** What ss(8) calls differently, and its groups. */
const groups: ReadonlyMap<string, readonly TcpState[]> = new Map<string, readonly TcpState[]>([
  ["ESTAB", ["ESTABLISHED"]],
  ["UNCONN", ["CLOSE"]],
  ["CLOSED", ["CLOSE"]],
  ["LISTENING", ["LISTEN"]],
  ["ALL", states],
  ["CONNECTED", states.filter((state) => state !== "LISTEN" && state !== "CLOSE")],
  ["SYNCHRONIZED", states.filter((state) => state !== "LISTEN" && state !== "CLOSE" && state !== "SYN_SENT")],
  ["BUCKET", ["SYN_RECV", "TIME_WAIT"]],
  ["BIG", states.filter((state) => state !== "SYN_RECV" && state !== "TIME_WAIT")],
]);

/** FIN-WAIT-1 and fin_wait1 are one name. */
function normalised(name: string): string {
  return name
    .toUpperCase()
    .replaceAll("-", "_")
    .replace(/_(\d)$/, "$1");
}

/**
 * Reads a state as the kernel or ss(8) writes it, upper or lower case, or one of ss's groups; several may stand in one word,
 * separated by commas.
 *
 * @throws DeadpeerError `bad-filter` for a name that is none, with the nearest that is.
 * @example parseStates("close-wait,FIN_WAIT1") // ["CLOSE_WAIT", "FIN_WAIT1"]
 */
export function parseStates(text: string): readonly TcpState[] {
  return text.split(",").flatMap((part) => {
    const name = normalised(part.trim());
    const state = states.find((known) => known === name);
    if (state !== undefined) return [state];
    const group = groups.get(name);
    if (group !== undefined) return group;
    const close = nearest(name, [...states, ...groups.keys()]) ?? "ESTABLISHED";
    throw new DeadpeerError(
      "bad-filter",
      `--state: there is no state "${part.trim()}"; did you mean ${groups.has(close) ? close.toLowerCase() : close}?`,
    );
  });
}
