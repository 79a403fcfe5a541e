import { wait } from "../../client/nat/wait.js";
import { DeadpeerError } from "../../errors.js";
import { persistsAfter } from "./answer-reader.js";
import { Server } from "./server.js";
import type { Wire } from "./wire.js";

/** So often a request is sent. */
const pulseMs = 100;

/**
 * Sends a request now and then until the signal fires, so that the server is not idle itself: one whose clock ticks only when something
 * happens (lighttpd) keeps idle connections for up to a second longer when nothing does, and the shorter time is the one that
 * clients meet under load. Never rejects for what the server does.
 *
 * @example
 * const over = new AbortController();
 * const beating = pulse(server, over.signal);
 * …; over.abort(); await beating;
 */
export async function pulse({ options }: Server, signal: AbortSignal): Promise<void> {
  // Whatever it waits for, the answer of a server that hangs perhaps, ends with the signal.
  const server = new Server({ ...options, signal });
  let wire: Wire | null = null;
  try {
    while (!signal.aborted) {
      wire ??= await opened(server);
      if (wire !== null && !(await beat(wire, options.patienceMs))) {
        wire.close();
        wire = null;
      }
      await wait(pulseMs, signal);
    }
  } catch (error) {
    // Its end is no error here.
    if (!signal.aborted) throw error;
  } finally {
    wire?.close();
  }
}

async function opened(server: Server): Promise<Wire | null> {
  try {
    return await server.open();
  } catch (error) {
    if (error instanceof DeadpeerError) return null;
    throw error;
  }
}

/** @returns whether the connection takes another one. */
async function beat(wire: Wire, patienceMs: number): Promise<boolean> {
  const { fate, answer } = await wire.exchange({ patienceMs });
  return fate === "answered" && answer !== null && persistsAfter(answer);
}
