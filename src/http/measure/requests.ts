import { systemClock } from "../../kernel/clock.js";
import { type Answer, persistsAfter } from "./answer-reader.js";
import type { Server } from "./server.js";

/** How many requests a connection took. */
export interface RequestsFound {
  /** Answered before the server ended it; null: it took all that were tried. */
  readonly limit: number | null;
  /** Answered, in any case. */
  readonly answered: number;
  /** The last answer said that the connection would be closed (or a GOAWAY did). */
  readonly announced: boolean;
}

/** A page of ten megabytes shall not be fetched a thousand times. */
const mostBytes = 64 * 2 ** 20;

/**
 * Sends requests on one connection, one after the other, until the server ends it.
 *
 * @param most requests that are tried.
 * @param withinMs for how long it goes on at most.
 */
export async function countRequests(server: Server, most: number, withinMs: number): Promise<RequestsFound> {
  const { patienceMs, signal } = server.options;
  const wire = await server.open();
  const untilMs = systemClock.monotonic() + withinMs;
  let bytes = 0;
  try {
    for (let answered = 0; ; answered++) {
      signal.throwIfAborted();
      const enough = answered === most || bytes > mostBytes || systemClock.monotonic() > untilMs;
      if (enough) return { limit: null, answered, announced: true };
      const { fate, answer } = await wire.exchange({ patienceMs });
      signal.throwIfAborted();
      if (fate !== "answered" || answer === null) return ended(answered, wire.end?.announced === true);
      bytes += answer.bodyBytes;
      if (isLast(answer) || wire.end !== null)
        return ended(answered + 1, isLast(answer) || wire.end?.announced === true);
    }
  } finally {
    wire.close();
  }
}

function ended(limit: number, announced: boolean): RequestsFound {
  return { limit, answered: limit, announced };
}

function isLast(answer: Answer): boolean {
  return !persistsAfter(answer);
}
