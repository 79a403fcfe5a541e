/** What has gone over a connection so far, each way. */
export interface Traffic {
  readonly in: number;
  readonly out: number;
}

/** What a look at the traffic showed. */
export interface Broken {
  /** For at least so long nothing had gone either way when something arrived. */
  readonly afterMs: number;
}

/**
 * Measures for how long nothing has gone over a connection, from looks at its counters now and then. When between two looks a
 * packet went is not known, so a silence has two lengths: what it was at least, and at most.
 *
 * An acknowledgement that our kernel puts off (40 to 200 ms, tcp_send_delayed_ack) ends a silence as data does: the box on the path
 * cannot tell.
 *
 * @example
 * const silence = new Silence(now(), { in: 3, out: 3 });
 * silence.look(now(), traffic());
 * silence.atLeastMs(now());
 */
export class Silence {
  #traffic: Traffic;
  #lookedMs: number;
  /** Between these two the last packet went. */
  #afterMs: number;
  #beforeMs: number;

  constructor(nowMs: number, traffic: Traffic) {
    this.#traffic = traffic;
    this.#lookedMs = nowMs;
    this.#afterMs = nowMs;
    this.#beforeMs = nowMs;
  }

  /** @returns what broke the silence from the other side, if anything did since the last look. */
  look(nowMs: number, traffic: Traffic): Broken | null {
    const { in: before, out } = this.#traffic;
    const broken = traffic.in === before ? null : { afterMs: this.#lookedMs - this.#beforeMs };
    if (broken !== null || traffic.out !== out) {
      this.#afterMs = this.#lookedMs;
      this.#beforeMs = nowMs;
      this.#traffic = traffic;
    }
    this.#lookedMs = nowMs;
    return broken;
  }

  atLeastMs(nowMs: number): number {
    return nowMs - this.#beforeMs;
  }

  atMostMs(nowMs: number): number {
    return nowMs - this.#afterMs;
  }
}
