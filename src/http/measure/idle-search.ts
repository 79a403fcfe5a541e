import { between, climb } from "../../client/nat/search/spread.js";

/** What became of one connection that was to lie idle for a time. */
export type IdleOutcome =
  /** The server ended it, after so long. */
  | { readonly kind: "ended"; readonly by: "fin" | "rst"; readonly idleMs: number }
  /** A request after so long was answered. */
  | { readonly kind: "answered"; readonly idleMs: number }
  /** One was not. */
  | { readonly kind: "unanswered"; readonly how: "reset" | "closed" | "lost"; readonly idleMs: number }
  /** It still stood when others had long been closed. */
  | { readonly kind: "outlived"; readonly idleMs: number }
  /** It says nothing: it never stood, or was given up. */
  | { readonly kind: "void" };

/** One connection to leave idle. */
export interface IdleTrial {
  readonly askedMs: number;
  /** How much later than the first of its round it begins. */
  readonly delayMs: number;
}

/** What is known by now. */
export interface IdleBracket {
  /** Idle for so long, every connection was still of use; a request was answered, or the server ended it only then. */
  readonly lowMs: number;
  /** Idle for so long, none was any more; null: none has failed by now. */
  readonly highMs: number | null;
  /** How it showed: the server ended the connection, or a late request was not answered; null: it did not. */
  readonly by: "fin" | "rst" | "reset" | "closed" | "lost" | null;
  /** Connections that outlived others by far. */
  readonly outlived: number;
}

export interface IdleSearchOptions {
  /** The longest that a connection is left idle. */
  readonly maxMs: number;
  /** Connections side by side, at least 2. */
  readonly lanes: number;
  /** How narrow the bracket has to be where the server ends nothing by itself; null: a fiftieth, but not below 100 ms. */
  readonly precisionMs: number | null;
}

const shortestMs = 250;
/** Servers such as lighttpd look at their idle connections once a second: those that begin at different moments of it fare differently. */
const tickMs = 1_000;
/** Connections that fared so differently show such a tick, and more of them look for the shortest time. */
const spreadMs = 250;
/** A tenth of a second apart: near enough. */
const mostWatchers = 10;
/** So near to the server's closing a request may have met it, rather than a limit of its own. */
const crossingMs = 250;
/** A bracket that has not closed by then never will: the server forgets by another rule than time. */
const mostRounds = 4;

/**
 * Looks for the time after which a server ends, or no longer answers on, a connection that lies idle. The first round has watchers, which
 * wait to be closed, begun at different moments of a second, and connections that are spoken on after ever longer times. Where nobody was
 * closed but some were not answered, the next rounds divide what is left open; where some were closed much sooner than others, a second
 * round of watchers looks for the shortest time.
 *
 * Pure: it is told what became of each connection.
 *
 * @example
 * const search = new IdleSearch({ maxMs: 120_000, lanes: 20, precisionMs: null });
 * for (let round = search.next(); round.length > 0; round = search.next())
 *   for (const trial of round) search.take(await tried(trial));
 * search.bracket.lowMs;
 */
export class IdleSearch {
  readonly #options: IdleSearchOptions;
  readonly #ended: { readonly by: "fin" | "rst"; readonly idleMs: number }[] = [];
  readonly #unanswered: { readonly how: "reset" | "closed" | "lost"; readonly idleMs: number }[] = [];
  readonly #answeredMs: number[] = [];
  #outlived = 0;
  #rounds = 0;

  constructor(options: IdleSearchOptions) {
    this.#options = options;
  }

  get bracket(): IdleBracket {
    const first = smallest(this.#unanswered);
    const ended = this.#ended.map(({ idleMs }) => idleMs);
    const endedFirstMs = Math.min(...ended);
    const outlived = this.#outlived;
    // A request that crosses a FIN or RST is not answered either, and shows no other limit.
    if (first !== undefined && (ended.length === 0 || first.idleMs < endedFirstMs - crossingMs)) {
      const below = this.#answeredMs.filter((ms) => ms < first.idleMs);
      return { lowMs: Math.max(0, ...below), highMs: first.idleMs, by: first.how, outlived };
    }
    if (ended.length > 0) {
      const by = smallest(this.#ended)?.by ?? null;
      return { lowMs: endedFirstMs, highMs: Math.max(...ended), by, outlived };
    }
    return { lowMs: Math.max(0, ...this.#answeredMs), highMs: null, by: null, outlived };
  }

  /** The connections to leave idle next, side by side; empty: it is over. */
  next(): readonly IdleTrial[] {
    const { maxMs, lanes } = this.#options;
    if (this.#rounds++ === 0) {
      const watchers = Math.max(1, Math.min(mostWatchers, Math.floor(lanes / 2)));
      const ages = climb(Math.min(shortestMs, maxMs), maxMs, lanes - watchers + 1, () => 50).slice(0, -1);
      const speakers = ages.map((askedMs) => ({ askedMs, delayMs: 0 }));
      return [...speakers, ...this.#watchers(watchers, 0)];
    }
    const { lowMs, highMs, by } = this.bracket;
    if (highMs === null || this.#rounds > mostRounds) return [];
    if (by === "fin" || by === "rst")
      return this.#rounds === 2 && highMs - lowMs > spreadMs ? this.#watchers(lanes, tickMs / lanes / 2) : [];
    if (highMs - lowMs <= this.#precisionAt(highMs)) return [];
    const wanted = Math.ceil((highMs - lowMs) / this.#precisionAt(highMs)) - 1;
    return between(lowMs, highMs, Math.max(1, Math.min(wanted, lanes))).map((askedMs) => ({
      askedMs,
      delayMs: 0,
    }));
  }

  /** Whether it still matters what becomes of a connection that has been idle for `idleMs` and is to be so for `askedMs`. */
  wants(askedMs: number, idleMs: number): boolean {
    const { highMs, by } = this.bracket;
    if (highMs === null) return true;
    // Nobody closes; what is asked for longer than one that failed fails as well.
    if (by !== "fin" && by !== "rst") return askedMs < highMs;
    return idleMs < 1.5 * highMs + 3 * tickMs;
  }

  take(outcome: IdleOutcome): void {
    switch (outcome.kind) {
      case "ended":
        this.#ended.push(outcome);
        return;
      case "answered":
        this.#answeredMs.push(outcome.idleMs);
        return;
      case "unanswered":
        this.#unanswered.push(outcome);
        return;
      case "outlived":
        this.#outlived++;
        return;
      default:
    }
  }

  /** At different moments of a server's tick. */
  #watchers(count: number, offsetMs: number): IdleTrial[] {
    return Array.from({ length: count }, (_, index) => ({
      askedMs: this.#options.maxMs,
      delayMs: Math.round(offsetMs + (index * tickMs) / count),
    }));
  }

  #precisionAt(ms: number): number {
    return this.#options.precisionMs ?? Math.max(100, ms / 50);
  }
}

function smallest<T extends { readonly idleMs: number }>(ones: readonly T[]): T | undefined {
  return ones.reduce<T | undefined>(
    (best, one) => (best === undefined || one.idleMs < best.idleMs ? one : best),
    undefined,
  );
}
