import type { Interruption, LossKind, Outcome } from "./outcome.js";
import { between, climb } from "./spread.js";

/** TCP_KEEPIDLE's least, and shorter than any box's memory. */
export const shortestMs = 1_000;
/** A search that has not ended by then is led astray by losses that follow no rule. */
const mostRounds = 40;

export interface SearchOptions {
  /** The longest silence that is tried. */
  readonly maxMs: number;
  /** Connections side by side, at least 2. */
  readonly lanes: number;
  /** How narrow the bracket has to be; null: a twentieth of the time itself, but not less than a second. */
  readonly precisionMs: number | null;
}

/** Why no longer silence can be had: the other side breaks it. */
export interface Ceiling {
  readonly by: Interruption;
  readonly silentMs: number;
}

/** What is known by now. The time after which an idle connection is forgotten lies above `survivedMs`, up to `lostMs`. */
export interface Bracket {
  readonly survivedMs: number;
  /** null: nothing was lost. */
  readonly lostMs: number | null;
  readonly lossKind: LossKind | "none";
  /** The reset came by itself, and was no answer. */
  readonly unasked: boolean;
  readonly ceiling: Ceiling | null;
  /** Losses after silences that other connections survived, shortest first: chance, or several paths. */
  readonly strayMs: readonly number[];
}

interface Loss {
  /** The silence that was asked for, by which connections of a round are compared. */
  readonly askedMs: number;
  readonly silentMs: number;
  readonly how: LossKind;
  readonly unasked?: true;
}

/**
 * Looks for the silence after which a path forgets a connection, with several connections at a time. The first round spreads them
 * from a second to the longest silence; the following ones halve and more what is left open, two connections to each silence.
 *
 * An answer proves that the path remembered. A missing one proves little, for packets are lost for other reasons too: a bracket's
 * upper end is the second shortest silence after which a connection was lost.
 *
 * Pure: it is told what became of each connection.
 *
 * @example
 * const search = new Search({ maxMs: 600_000, lanes: 16, precisionMs: null });
 * for (let round = search.next(); round.length > 0; round = search.next())
 *   for (const silentMs of round) if (search.wants(silentMs)) search.take(silentMs, await tried(silentMs));
 * search.bracket.survivedMs;
 */
export class Search {
  readonly #maxMs: number;
  readonly #precisionMs: number | null;
  #lanes: number;
  #survivedMs = 0;
  /** By the silence that was asked for, shortest first. */
  #losses: Loss[] = [];
  readonly #interruptions: (Ceiling & { readonly round: number })[] = [];
  #ceiling: Ceiling | null = null;
  #rounds = 0;

  constructor({ maxMs, lanes, precisionMs }: SearchOptions) {
    this.#maxMs = maxMs;
    this.#lanes = lanes;
    this.#precisionMs = precisionMs;
  }

  get bracket(): Bracket {
    const [first, second] = this.#edge();
    const believed = second ?? first;
    return {
      survivedMs: this.#survivedMs,
      lostMs: believed === undefined ? null : Math.max(believed.silentMs, first?.silentMs ?? 0),
      lossKind: believed?.how ?? "none",
      unasked: believed?.unasked ?? false,
      ceiling: this.#ceiling,
      strayMs: this.#losses
        .map(({ silentMs }) => silentMs)
        // Near the truth connections may well differ.
        .filter((silentMs) => silentMs < this.#survivedMs - roughly(silentMs) / 5),
    };
  }

  /** The server takes no more connections than this. */
  limitLanes(lanes: number): void {
    this.#lanes = Math.max(2, Math.min(this.#lanes, lanes));
  }

  /** The silences to try next, side by side, shortest first; empty: it is over. */
  next(): readonly number[] {
    if (this.#rounds++ >= mostRounds) return [];
    if (this.#ceiling !== null) return [];
    const [first, second] = this.#edge();
    if (first === undefined) return this.#climbing();
    const wideMs = first.askedMs - this.#survivedMs;
    const precisionMs = this.#precisionAt(first.askedMs);
    // Two silences that came out by themselves, as where a box resets what it forgets, are hardly the same.
    const confirmed = second !== undefined && second.askedMs - this.#survivedMs <= precisionMs;
    if (wideMs <= precisionMs) return confirmed ? [] : twice([first.askedMs]);
    const pairs = Math.floor(this.#lanes / 2);
    // Exact enough also for the shortest time that is possible.
    const wanted = Math.ceil(wideMs / this.#precisionAt(this.#survivedMs)) - 1;
    const inner = between(this.#survivedMs, first.askedMs, Math.max(1, Math.min(wanted, pairs - 1)));
    return twice(inner.length < pairs ? [...inner, first.askedMs] : inner);
  }

  /** Whether it still matters what becomes of a connection that is to be silent for so long. */
  wants(askedMs: number): boolean {
    const [first] = this.#edge();
    return (
      askedMs > this.#survivedMs &&
      (first === undefined || askedMs <= first.askedMs) &&
      (this.#ceiling === null || askedMs <= this.#ceiling.silentMs)
    );
  }

  /** What became of a connection that was to be silent for `askedMs`. */
  take(askedMs: number, outcome: Outcome): void {
    switch (outcome.kind) {
      case "survived":
        this.#survived(outcome.silentMs);
        return;
      case "lost":
        // One that was reset in the middle of its silence.
        this.#losses.push({ ...outcome, askedMs: Math.min(askedMs, outcome.silentMs) });
        this.#losses.sort((a, b) => a.askedMs - b.askedMs);
        return;
      case "interrupted":
        this.#interrupted(outcome);
        return;
      default:
    }
  }

  /** How long it goes on at most after a round of these silences, chance aside. */
  afterwardsMs(round: readonly number[], patienceMs: number): number {
    const pairs = Math.max(2, Math.floor(this.#lanes / 2));
    const times = round.map((silentMs, index) => {
      const beforeMs = round[index - 1] ?? this.#survivedMs;
      const open = (silentMs - beforeMs) / this.#precisionAt(silentMs);
      const confirmed = silentMs === beforeMs || silentMs === round[index + 1];
      const rounds = open > 1.01 ? Math.ceil(Math.log(open) / Math.log(pairs)) : confirmed ? 0 : 1;
      return rounds * (silentMs + patienceMs);
    });
    return Math.max(0, ...times);
  }

  #survived(silentMs: number): void {
    this.#survivedMs = Math.max(this.#survivedMs, silentMs);
    if (this.#ceiling !== null && this.#ceiling.silentMs < silentMs) this.#ceiling = null;
  }

  /**
   * What arrives proves as much as an answer does. In one round it may be chance, or a server that restarts, for all of its connections
   * began at the same moment; after the same silence in another round it is a rule of the other side's.
   */
  #interrupted({ by, silentMs }: Ceiling): void {
    const before = this.#interruptions.find(
      (other) =>
        other.by === by &&
        other.round !== this.#rounds &&
        Math.abs(other.silentMs - silentMs) <= roughly(silentMs),
    );
    this.#interruptions.push({ by, silentMs, round: this.#rounds });
    this.#survivedMs = Math.max(this.#survivedMs, silentMs);
    if (before !== undefined)
      this.#ceiling = { by, silentMs: Math.max(before.silentMs, silentMs, this.#ceiling?.silentMs ?? 0) };
  }

  #climbing(): readonly number[] {
    if (this.#survivedMs >= this.#maxMs) return [];
    const step = (atMs: number): number => this.#precisionAt(atMs);
    if (this.#survivedMs < shortestMs) return climb(shortestMs, this.#maxMs, this.#lanes, step);
    return climb(this.#survivedMs, this.#maxMs, this.#lanes + 1, step).filter(
      (silentMs) => silentMs > this.#survivedMs,
    );
  }

  /** The losses that no survivor contradicts. */
  #edge(): Loss[] {
    return this.#losses.filter(({ askedMs }) => askedMs > this.#survivedMs);
  }

  #precisionAt(silentMs: number): number {
    return this.#precisionMs ?? roughly(silentMs);
  }
}

/** Near enough to be called the same time. */
function roughly(silentMs: number): number {
  return Math.max(1_000, silentMs / 20);
}

function twice(silences: readonly number[]): number[] {
  return silences.flatMap((silentMs) => [silentMs, silentMs]);
}
