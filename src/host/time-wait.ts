import type { DiagSocket } from "../kernel/sock-diag.js";
import type { Finding } from "./findings.js";

/** A quarter of the 28 232 local ports that Linux hands out (ip_local_port_range): each holds one, to that peer, for a minute. */
export const timeWaitMany = 7_000;

const noFindings: readonly Finding[] = [];
const tooMany: readonly Finding[] = [
  {
    code: "time-wait-many",
    message: `at least ${timeWaitMany} connections to this peer wait out TIME_WAIT, each holding a port: use connections again instead`,
  },
];

/** Counts the connections in TIME_WAIT by peer, and says which are too many. */
export class TimeWaitCount {
  readonly #byPeer = new Map<string, number>();

  constructor(sockets: readonly DiagSocket[]) {
    if (sockets.length < timeWaitMany) return;
    for (const socket of sockets)
      if (socket.state === "TIME_WAIT") this.#byPeer.set(peerOf(socket), this.#of(socket) + 1);
  }

  findings(socket: Pick<DiagSocket, "state" | "remote">): readonly Finding[] {
    return socket.state === "TIME_WAIT" && this.#of(socket) >= timeWaitMany ? tooMany : noFindings;
  }

  #of(socket: Pick<DiagSocket, "remote">): number {
    return this.#byPeer.get(peerOf(socket)) ?? 0;
  }
}

function peerOf({ remote }: Pick<DiagSocket, "remote">): string {
  return `${remote.address} ${remote.port}`;
}
