import { innerSocket } from "../../guard/inner-socket.js";
import type { HeartbeatAdapter, Peer } from "../adapter.js";
import { overSocket } from "./over-socket.js";

/** What is used of a connected client of `pg`, one's own or a pool's. */
export interface ProbedPgClient {
  query(text: string): Promise<unknown>;
}

/** What `pg` knows without asking. Older ones cannot tell the last: then the next ReadyForQuery does. */
interface PgInternals {
  readonly readyForQuery?: boolean;
  readonly connection: {
    on(event: "readyForQuery", listener: (message: { readonly status?: string }) => void): unknown;
    off(event: "readyForQuery", listener: (message: { readonly status?: string }) => void): unknown;
  };
  getTransactionStatus?(): string | null;
}

/** ReadyForQuery's status of a connection outside of a transaction (PostgreSQL, "Message Formats"). */
const outside = "I";

/**
 * Heartbeats over a PostgreSQL connection: an idle one is asked an empty query. While a query runs or a transaction is open nothing is
 * sent: PostgreSQL reads nothing meanwhile, and what it would read could change its timeouts. Then the server's kernel is asked, by
 * TCP's own probes; how long a query may take is `statement_timeout`'s to say.
 *
 * @throws DeadpeerError `no-socket` if it is not connected, or by a Unix socket.
 * @example pool.on("connect", (client) => heartbeat(overPg(client), "normal"));
 */
export function overPg(client: ProbedPgClient): HeartbeatAdapter {
  const socket = innerSocket(client);
  const internals = client as unknown as PgInternals;
  let peer: Peer | null = null;
  let status = internals.getTransactionStatus?.() ?? null;
  let probing = false;
  const probed = (answered: number | null): void => {
    probing = false;
    if (answered !== null) peer?.answered(answered);
  };
  const onReady = (message: { readonly status?: string }): void => {
    status = message.status ?? null;
  };
  return overSocket(socket, {
    blocked: () =>
      socket.isPaused() || (!probing && !(internals.readyForQuery === true && status === outside)),
    beat({ number }) {
      // One that was sent is on its way, and TCP sends it again.
      if (probing) return;
      probing = true;
      client.query("").then(
        () => probed(number),
        () => probed(null),
      );
    },
    listen(told) {
      peer = told;
      internals.connection.on("readyForQuery", onReady);
      return () => {
        peer = null;
        internals.connection.off("readyForQuery", onReady);
      };
    },
  });
}
