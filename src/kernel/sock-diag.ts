import { DeadpeerError } from "../errors.js";
import { NETLINK_SOCK_DIAG } from "./abi.js";
import { DiagFilter, type DiagQuery } from "./diag-query.js";
import { type DiagSocket, diagMessage } from "./diag-socket.js";
import { inNamespace, type NetworkNamespace } from "./namespaces.js";
import { dump } from "./netlink.js";
import { type NetlinkChannel, openNetlink } from "./netlink-channel.js";
import { addSocket, type SocketRun, SocketTable } from "./socket-table.js";

export type { DiagEndpointQuery, DiagQuery } from "./diag-query.js";
export type { DiagEndpoint, DiagSocket, DiagTimer, SocketRecord } from "./diag-socket.js";
export type { SocketTable } from "./socket-table.js";

const SOCK_DIAG_BY_FAMILY = 20;

/**
 * Lists the TCP sockets of a network namespace, IPv4 and IPv6, in the order of the kernel's tables. What the query names is
 * filtered in the kernel. No privilege is needed, except to enter another namespace.
 *
 * The kernel's table is read in parts while it changes: a socket that comes or goes meanwhile may or may not be there.
 *
 * @throws DeadpeerError `bad-address` for an address or port that cannot be read, `feature-missing` without inet_diag;
 *   `no-namespace`, `permission-denied` from entering the namespace; `netlink-protocol`.
 * @example listSockets({ states: ["ESTABLISHED"], remote: { address: "10.0.0.0/8" }, info: true })
 */
export function listSockets(query: DiagQuery = {}, namespace?: NetworkNamespace): DiagSocket[] {
  return [...dumpSockets(query, namespace)];
}

/** As listSockets, for many: each is decoded when the loop reaches it. Says whether the list is known to be whole. */
export function dumpSockets(query: DiagQuery = {}, namespace?: NetworkNamespace): SocketTable {
  // The socket belongs to the namespace it is opened in; it can be used from outside.
  return tableThrough(
    () => (namespace === undefined ? openSockDiag() : inNamespace(namespace, openSockDiag)),
    query,
  );
}

function openSockDiag(): NetlinkChannel {
  return openNetlink(NETLINK_SOCK_DIAG);
}

export interface SocketDump {
  readonly sockets: DiagSocket[];
  readonly interrupted: boolean;
}

/** As listSockets, over channels that `open` gives: made-up ones in tests. */
export function dumpThrough(open: () => NetlinkChannel, query: DiagQuery): SocketDump {
  const table = tableThrough(open, query);
  return { sockets: [...table], interrupted: table.interrupted };
}

function tableThrough(open: () => NetlinkChannel, query: DiagQuery): SocketTable {
  const filter = new DiagFilter(query);
  const runs: SocketRun[] = [];
  let interrupted = false;
  for (const family of filter.kernelFamilies()) {
    const result = withReason(() =>
      dump<SocketRun>(open, SOCK_DIAG_BY_FAMILY, filter.encode(family), (bytes, start, end, into) => {
        if (end - start < diagMessage.bytes) throw malformed(`a socket is described in ${end - start} bytes`);
        if (filter.accepts(bytes, start)) addSocket(into, bytes, start, end);
      }),
    );
    runs.push(...result.items);
    interrupted ||= result.interrupted;
  }
  return new SocketTable(runs, interrupted);
}

function malformed(problem: string): DeadpeerError {
  return new DeadpeerError("netlink-protocol", `the kernel's answer cannot be read: ${problem}`);
}

/** Says what the kernel's "no such file" means here: sock_diag has nobody to ask about TCP. */
function withReason<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof DeadpeerError) || error.errno !== "ENOENT") throw error;
    throw new DeadpeerError(
      "feature-missing",
      "the kernel cannot list TCP sockets: it has no tcp_diag module (CONFIG_INET_TCP_DIAG); try: modprobe tcp_diag",
      { operation: "sock_diag", errno: "ENOENT", cause: error },
    );
  }
}
