import type { TimerClock } from "../../time/clock.js";

const strikesOut = 3;

export interface VigilOptions {
  readonly clock: TimerClock;
  /** Between two looks. */
  readonly everyMs: number;
  /** How often the thread has come round. */
  readonly turns: () => number;
  /** false: nobody is left to watch over. */
  readonly needed: () => boolean;
  readonly onHang: () => void;
}

/** Looks now and then whether a thread still comes round; one that has stood still for three looks hangs. */
export class Vigil {
  readonly #options: VigilOptions;
  #timer: object | null = null;
  #turns = 0;
  #strikes = 0;

  constructor(options: VigilOptions) {
    this.#options = options;
  }

  keep(): void {
    this.#timer ??= this.#options.clock.set(() => this.#look(), this.#options.everyMs);
  }

  end(): void {
    if (this.#timer !== null) this.#options.clock.clear(this.#timer);
    this.#timer = null;
  }

  #look(): void {
    this.#timer = null;
    const turns = this.#options.turns();
    this.#strikes = turns === this.#turns ? this.#strikes + 1 : 0;
    this.#turns = turns;
    if (this.#strikes >= strikesOut) this.#options.onHang();
    else if (this.#options.needed()) this.keep();
  }
}
