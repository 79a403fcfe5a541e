import { wait } from "../../client/nat/wait.js";
import { persistsAfter } from "./answer-reader.js";
import type { Http1Wire } from "./http1-wire.js";
import type { Server } from "./server.js";
import type { ExchangeOptions } from "./wire.js";

/** How the server takes the Connection header, and HTTP/1.0; each null where it could not be seen. */
export interface ConnectionHeaderFound {
  /** It closes after a request with "Connection: close". */
  readonly closeHonoured: boolean | null;
  /** It closes after a request over HTTP/1.0 that did not ask for anything else. */
  readonly http10Closes: boolean | null;
  /** It keeps a connection over HTTP/1.0 that asked for it, and says so. */
  readonly http10KeepAlive: boolean | null;
}

/** A server that means to close has done so by then, and a client that waits for longer loses by it. */
const closesWithinMs = 2_000;

/** Asks in the three ways, side by side, over HTTP/1. */
export async function tryConnectionHeader(server: Server): Promise<ConnectionHeaderFound> {
  const { patienceMs } = server.options;
  const closes = (options: Omit<ExchangeOptions, "patienceMs">): Promise<boolean | null> =>
    onOwnConnection(server, async (wire) => {
      const { fate } = await wire.exchange({ ...options, patienceMs });
      if (fate !== "answered") return null;
      await Promise.race([wire.ended, wait(closesWithinMs, server.options.signal)]);
      return wire.end !== null;
    });
  const [closeHonoured, http10Closes, http10KeepAlive] = await Promise.all([
    closes({ connection: "close" }),
    closes({ version: "1.0", connection: "none" }),
    onOwnConnection(server, async (wire) => {
      const { fate, answer } = await wire.exchange({ version: "1.0", connection: "keep-alive", patienceMs });
      if (fate !== "answered" || answer === null) return null;
      if (!persistsAfter(answer)) return false;
      const again = await wire.exchange({ version: "1.0", connection: "keep-alive", patienceMs });
      return again.fate === "answered";
    }),
  ]);
  return { closeHonoured, http10Closes, http10KeepAlive };
}

async function onOwnConnection<T>(server: Server, use: (wire: Http1Wire) => Promise<T>): Promise<T> {
  const wire = await server.openHttp1();
  try {
    const seen = await use(wire);
    // What was broken off by us tells nothing of the server.
    server.options.signal.throwIfAborted();
    return seen;
  } finally {
    wire.close();
  }
}
