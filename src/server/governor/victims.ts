import { observe } from "./assess.js";
import type { Held } from "./held.js";
import { look } from "./sight.js";

/** After a search that found nobody, the next is not made before this: a flood would have every connection looked at for each of its own. */
const barrenMs = 100;
/** So long what a search has found is believed to be the whole order. */
const freshMs = 1_000;

/**
 * Finds the connection that has been inactive for longest and has no request in flight. Looking at all of them costs about a
 * microsecond each, so one search serves many: whoever has not moved since is still the most inactive one.
 */
export class Victims {
  /** The most inactive last, with what was known of its progress. */
  #pool: { readonly held: Held; readonly progressMs: number }[] = [];
  #searchedMs = Number.NEGATIVE_INFINITY;
  #barrenUntilMs = Number.NEGATIVE_INFINITY;

  /** Of all: @returns null if each is in the middle of a request. */
  next(all: ReadonlySet<Held>, nowMs: number): Held | null {
    if (nowMs - this.#searchedMs > freshMs) this.#pool = [];
    for (;;) {
      const candidate = this.#pool.pop();
      if (candidate === undefined) break;
      const { held, progressMs } = candidate;
      if (all.has(held) && activity(held, nowMs) === progressMs) return held;
    }
    if (nowMs < this.#barrenUntilMs) return null;
    this.#search(all, nowMs);
    const found = this.#pool.pop()?.held ?? null;
    if (found === null) this.#barrenUntilMs = nowMs + barrenMs;
    return found;
  }

  #search(all: ReadonlySet<Held>, nowMs: number): void {
    const found: { held: Held; progressMs: number }[] = [];
    for (const held of all) {
      const progressMs = activity(held, nowMs);
      if (progressMs !== null) found.push({ held, progressMs });
    }
    found.sort((a, b) => b.progressMs - a.progressMs);
    this.#pool = found.slice(-Math.max(64, found.length >> 3));
    this.#searchedMs = nowMs;
  }
}

/** The same among the connections of one client. */
export function mostInactive(first: Held | null, nowMs: number): Held | null {
  let found: Held | null = null;
  let earliestMs = Number.POSITIVE_INFINITY;
  for (let held = first; held !== null; held = held.behind) {
    const progressMs = activity(held, nowMs);
    if (progressMs === null || progressMs >= earliestMs) continue;
    found = held;
    earliestMs = progressMs;
  }
  return found;
}

/** When a connection was last active; null: it may not be evicted. */
function activity(held: Held, nowMs: number): number | null {
  if (held.leaving) return null;
  const sight = look(held);
  observe(held, sight, nowMs);
  return sight.phase === "request" ? null : held.progressMs;
}
