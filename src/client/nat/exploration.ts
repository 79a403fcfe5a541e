import { DeadpeerError } from "../../errors.js";
import type { Outcome } from "./search/outcome.js";
import type { Bracket, Search } from "./search/search.js";

/** What became of one connection. */
export interface Trial {
  readonly outcome: Outcome;
  /** false: the server would not have it. */
  readonly stood: boolean;
}

/** How far a search has come. */
export interface Progress {
  readonly bracket: Bracket;
  /** Connections that are still silent, or waiting for an answer. */
  readonly waiting: number;
  /** At most, chance aside. */
  readonly remainingMs: number;
}

export interface ExplorationOptions {
  readonly search: Search;
  /** Leaves one connection silent for so long, and tells what became of it. */
  readonly attempt: (silentMs: number) => Promise<Trial>;
  readonly patienceMs: () => number;
  /** The monotonic clock. */
  readonly now: () => number;
  /** Before a round that follows one in vain. */
  readonly rest: () => Promise<void>;
}

/** A round may be in vain once or twice: an outage, a server that restarts. */
const mostInVain = 3;

/** One search, carried out round by round. */
export class Exploration {
  readonly #options: ExplorationOptions;
  #round: readonly number[] = [];
  #beganMs = 0;
  #waiting = 0;

  constructor(options: ExplorationOptions) {
    this.#options = options;
  }

  /** @throws DeadpeerError `measurement-void` where no connection shows anything; whatever an attempt throws. */
  async run(): Promise<void> {
    const { search, now, rest } = this.#options;
    let inVain = 0;
    for (let round = search.next(); round.length > 0; round = search.next()) {
      this.#round = round;
      this.#beganMs = now();
      const trials = await Promise.all(round.map((silentMs) => this.#attempt(silentMs)));
      const stood = trials.filter((trial) => trial.stood).length;
      if (stood < round.length) search.limitLanes(stood);
      if (trials.some(({ outcome }) => outcome.kind !== "void")) {
        inVain = 0;
        continue;
      }
      if (++inVain === mostInVain) throw fruitless(stood, round.length);
      await rest();
    }
  }

  get progress(): Progress {
    const { search, now, patienceMs } = this.#options;
    const open = this.#round.filter((silentMs) => search.wants(silentMs));
    const lastMs = open.at(-1);
    const thisRoundMs = lastMs === undefined ? 0 : this.#beganMs + lastMs + patienceMs() - now();
    const afterwardsMs = lastMs === undefined ? 0 : search.afterwardsMs(open, patienceMs());
    return {
      bracket: search.bracket,
      waiting: this.#waiting,
      remainingMs: Math.max(0, thisRoundMs) + afterwardsMs,
    };
  }

  async #attempt(silentMs: number): Promise<Trial> {
    this.#waiting++;
    try {
      const trial = await this.#options.attempt(silentMs);
      this.#options.search.take(silentMs, trial.outcome);
      return trial;
    } finally {
      this.#waiting--;
    }
  }
}

function fruitless(stood: number, tried: number): DeadpeerError {
  const problem =
    stood === 0
      ? "the server ended every connection within a second, or had no room for it"
      : stood < tried
        ? `of ${tried} connections at once the server kept ${stood} for a second`
        : `nothing was learned from ${tried} connections, ${mostInVain} times: the path was not up for long enough`;
  return new DeadpeerError("measurement-void", problem);
}
