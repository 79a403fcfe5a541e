/** A beat on its way. */
interface Sent {
  readonly number: number;
  readonly sentMs: number;
  /** How long nothing had gone either way before it; null: something had, or it is not the first that was asked with. */
  readonly silenceMs: number | null;
}

/** More are not on their way at once: a peer that has left so many unanswered is dead by any settings. */
const most = 64;

/** The beats that have not been answered. */
export class Outstanding {
  #beats: Sent[] = [];

  sent(number: number, sentMs: number, silenceMs: number | null): void {
    if (this.#beats.length === most) this.#beats.shift();
    this.#beats.push({ number, sentMs, silenceMs });
  }

  /**
   * An answer closes its beat and all before it.
   *
   * @param number undefined: the protocol does not say; then it is known only where one beat alone is on its way.
   * @returns the beat; null if it is not known which it was.
   */
  answered(number: number | undefined): Sent | null {
    const index = number === undefined ? 0 : this.#beats.findIndex((beat) => beat.number === number);
    const beat = this.#beats[index];
    if (beat === undefined) return null;
    const certain = number !== undefined || this.#beats.length === 1;
    this.#beats.splice(0, index + 1);
    return certain ? beat : null;
  }

  /** The silence before the oldest of them. */
  firstSilenceMs(): number | null {
    return this.#beats[0]?.silenceMs ?? null;
  }

  /** What is on its way teaches nothing about the path. */
  excuse(): void {
    this.#beats = this.#beats.map((beat) => ({ ...beat, silenceMs: null }));
  }
}
