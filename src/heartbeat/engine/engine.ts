/** When to beat and when to give up, in milliseconds. The words are those of TCP keepalive, which works the same way. */
export interface BeatSettings {
  /** Silence of the peer after which it is asked for a sign of life; not shorter than the interval. */
  readonly idleMs: number;
  /** Time to answer, and so the time between unanswered beats. No two beats are ever closer together. */
  readonly intervalMs: number;
  /** Unanswered beats after which the peer is dead: idle + interval × count after it was last heard, at the latest. */
  readonly count: number;
  /**
   * How long this side may send nothing before it beats on its own account: to keep the path open, and because the peer was
   * promised to hear from it. null: nothing was promised.
   */
  readonly sendEveryMs: number | null;
  /**
   * The peer has promised to be heard this often, so it is not asked sooner: it may be finding out how long a silence the path bears.
   * Idle is longer than that by the interval, at least. Default: 0, it has promised nothing.
   */
  readonly peerSendsEveryMs?: number;
  /** false: the peer sends beats of its own and answers none (as in AMQP), so there is nothing to ask it for. */
  readonly answers: boolean;
}

/** What is to be done now: send a beat, tell that a beat was missed, or give the peer up. */
export type BeatAction = "beat" | "suspect" | "dead";

export type BeatState = "alive" | "asked" | "suspected" | "dead";

/**
 * Beats come up to this share of their wait earlier, each session's by its own phase, so that many do not beat together. A death
 * is noticed that much earlier, too.
 */
export const spread = 0.25;

/**
 * One session's heartbeat: it is told what happened and when, and says what to do. Whatever arrives from the peer is proof of
 * life; what this side sends proves nothing. So it beats only where a direction is silent.
 *
 * A standstill of this side is never blamed on the peer: after `stoodStill` the peer is asked anew, and has the whole time to
 * answer once more.
 *
 * @example
 * const engine = new HeartbeatEngine(settings, { nowMs: clock.monotonic(), phase: Math.random() });
 * for (let action = engine.check(now); action !== null; action = engine.check(now)) carryOut(action);
 * timer.set(engine.nextMs() - now);
 */
export class HeartbeatEngine {
  #settings: BeatSettings;
  readonly #phase: number;
  #state: BeatState = "alive";
  #heardMs: number;
  #sentMs: number;
  /** When the last beat was sent; none has been. */
  #beatMs: number;
  /** When the peer was last asked; its time to answer runs from here. */
  #askedMs = 0;
  #unanswered = 0;
  /** When this side last came back from a standstill. */
  #wokeMs = Number.NEGATIVE_INFINITY;

  /**
   * @param nowMs when the peer was last heard.
   * @param phase from 0 to 1, different from session to session; the first beat comes at any time of its wait, by the phase.
   * @param beatMs when it was last sent a beat, which it has answered, where another engine saw to it before.
   */
  constructor(
    settings: BeatSettings,
    {
      nowMs,
      phase,
      beatMs = Number.NEGATIVE_INFINITY,
    }: { nowMs: number; phase: number; beatMs?: number | undefined },
  ) {
    this.#settings = settings;
    this.#phase = phase;
    this.#heardMs = nowMs;
    this.#sentMs = nowMs;
    this.#beatMs = beatMs;
  }

  get state(): BeatState {
    return this.#state;
  }

  get settings(): BeatSettings {
    return this.#settings;
  }

  /** Beats in a row that the peer was asked with and has not answered. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** When anything last arrived from the peer; the beginning, if nothing ever has. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** When the peer was last sent a beat; minus infinity, if it never was. */
  get beatMs(): number {
    return this.#beatMs;
  }

  /** Other settings from now on, as when an interval was learned or the peer announced its own. What has been asked stays asked. */
  adopt(settings: BeatSettings): void {
    this.#settings = settings;
  }

  /**
   * Something came from the peer, or it took something that waited for it: a slow peer is not a dead one.
   *
   * @returns true if the peer was under suspicion until now.
   */
  heard(nowMs: number): boolean {
    if (this.#state === "dead") return false;
    const recovered = this.#state === "suspected";
    this.#state = "alive";
    this.#heardMs = nowMs;
    this.#unanswered = 0;
    return recovered;
  }

  /** This side sent something that is no beat of `check`. */
  sent(nowMs: number): void {
    this.#sentMs = nowMs;
  }

  /** This process or machine did not run until now: what was missed meanwhile says nothing about the peer. */
  stoodStill(nowMs: number): void {
    if (this.#state === "dead") return;
    this.#wokeMs = nowMs;
    this.#unanswered = 0;
    this.#askedMs = this.#awakeMs() - this.#settings.intervalMs;
  }

  /**
   * How long the peer may be silent before `check` has something to do, counted from when it was last heard: for whoever listens to the
   * peer elsewhere. null: there is something to do already, or this side has to send without being asked.
   */
  patienceMs(): number | null {
    const { idleMs, answers, sendEveryMs, peerSendsEveryMs = 0 } = this.#settings;
    if (this.#state !== "alive" || !answers || sendEveryMs !== null) return null;
    if (peerSendsEveryMs > 0) return Math.max(this.#early(idleMs, spread), peerSendsEveryMs);
    return this.#early(idleMs, this.#beatMs === Number.NEGATIVE_INFINITY ? 1 : spread);
  }

  /** What to do now; ask again until it is null. */
  check(nowMs: number): BeatAction | null {
    if (this.#state === "dead") return null;
    if (!this.#settings.answers) return this.#whileListening(nowMs);
    return this.#state === "alive" ? this.#whileAlive(nowMs) : this.#whileAsked(nowMs);
  }

  /** When `check` next has something to do, if nothing happens until then. */
  nextMs(): number {
    if (this.#state === "dead") return Number.POSITIVE_INFINITY;
    if (this.#state === "alive") return Math.min(this.#askMs(), this.#promiseMs());
    return this.#settings.answers
      ? this.#askedMs + this.#settings.intervalMs
      : Math.min(this.#deadlineMs(), this.#promiseMs());
  }

  #whileAlive(nowMs: number): BeatAction | null {
    if (nowMs < this.#askMs()) return this.#keepPromise(nowMs);
    this.#state = "asked";
    return this.#ask(nowMs);
  }

  #whileAsked(nowMs: number): BeatAction | null {
    if (nowMs < this.#askedMs + this.#settings.intervalMs) return null;
    if (this.#unanswered >= this.#settings.count) return this.#giveUp();
    // What was asked before a standstill does not count.
    if (this.#state === "suspected" || this.#unanswered === 0) return this.#ask(nowMs);
    this.#state = "suspected";
    return "suspect";
  }

  /** Where nothing is answered, time alone decides. */
  #whileListening(nowMs: number): BeatAction | null {
    if (nowMs >= this.#deadlineMs()) return this.#giveUp();
    if (this.#state === "alive" && nowMs >= this.#askMs()) {
      this.#state = "suspected";
      return "suspect";
    }
    return this.#keepPromise(nowMs);
  }

  #ask(nowMs: number): BeatAction | null {
    this.#askedMs = nowMs;
    this.#unanswered++;
    // A beat that was sent on our own account a moment ago, and is not yet answered, serves as the question too.
    const underway = this.#beatMs > this.#heardMs && nowMs < this.#beatMs + this.#settings.intervalMs;
    return underway ? null : this.#beat(nowMs);
  }

  #keepPromise(nowMs: number): BeatAction | null {
    return nowMs >= this.#promiseMs() ? this.#beat(nowMs) : null;
  }

  #beat(nowMs: number): BeatAction {
    this.#beatMs = nowMs;
    this.#sentMs = nowMs;
    return "beat";
  }

  #giveUp(): BeatAction {
    this.#state = "dead";
    return "dead";
  }

  /** When the peer has been silent for long enough to be asked, or to be suspected where it cannot be asked. */
  #askMs(): number {
    const { idleMs, intervalMs, answers, peerSendsEveryMs = 0 } = this.#settings;
    if (!answers) return Math.max(this.#heardMs, this.#wokeMs) + idleMs;
    const distanceMs = this.#beatMs > this.#heardMs ? 0 : this.#beatMs + intervalMs;
    const silenceMs = Math.max(this.#early(idleMs, spread), peerSendsEveryMs);
    return Math.max(this.#heardMs + silenceMs, distanceMs, this.#awakeMs());
  }

  /** When this side has to send something whether the peer is heard or not. */
  #promiseMs(): number {
    const { idleMs, intervalMs, sendEveryMs, peerSendsEveryMs = 0 } = this.#settings;
    const first = this.#beatMs === Number.NEGATIVE_INFINITY;
    // With nothing promised the first beat still comes early, by the phase; from then on questions are apart by themselves. Who has
    // promised to be heard is heard before that, and each such peer has a rhythm of its own.
    if (sendEveryMs === null && (!first || peerSendsEveryMs > 0)) return Number.POSITIVE_INFINITY;
    const dueMs =
      sendEveryMs === null
        ? this.#heardMs + this.#early(idleMs, 1)
        : this.#sentMs + this.#early(sendEveryMs, first ? 1 : spread);
    return Math.max(dueMs, this.#beatMs + intervalMs, this.#awakeMs());
  }

  #deadlineMs(): number {
    const { idleMs, intervalMs, count } = this.#settings;
    return Math.max(this.#heardMs, this.#wokeMs) + idleMs + intervalMs * count;
  }

  /** From when on to beat after a standstill: not all sessions at once. */
  #awakeMs(): number {
    return this.#wokeMs + this.#phase * this.#settings.intervalMs;
  }

  #early(waitMs: number, share: number): number {
    return waitMs * (1 - share * this.#phase);
  }
}
