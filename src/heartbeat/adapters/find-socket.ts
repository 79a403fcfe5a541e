import type { Socket } from "node:net";
import { innerSocket } from "../../guard/inner-socket.js";

/** The TCP socket inside a thing; null: there is none, as under a Unix socket or a stream of another kind. */
export function findSocket(thing: unknown): Socket | null {
  try {
    return innerSocket(thing);
  } catch {
    return null;
  }
}
