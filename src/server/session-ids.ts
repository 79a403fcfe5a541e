import { randomFillSync } from "node:crypto";
import { limits } from "../heartbeat/protocol/message.js";

/** Drawn at a time: asking the system's generator costs much the same for one as for many. */
const drawn = 256;

/** New ids of sessions, which nobody can guess. */
export class SessionIds {
  readonly #pool = Buffer.alloc(drawn * limits.sessionId);
  readonly #id = Buffer.alloc(limits.sessionId);
  #next = drawn;

  /** @returns an id that is good until the next one is drawn. */
  draw(): Buffer {
    if (this.#next === drawn) {
      randomFillSync(this.#pool);
      this.#next = 0;
    }
    const start = this.#next++ * limits.sessionId;
    this.#pool.copy(this.#id, 0, start, start + limits.sessionId);
    return this.#id;
  }
}
