import { EventEmitter } from "node:events";
import { DeadpeerError } from "../errors.js";
import { closeOnAbort, forgetOnAbort } from "../guard/closing.js";
import { figuresOf } from "../guard/gather.js";
import { guardOn } from "../guard/guard.js";
import { baseFd } from "../guard/inner-socket.js";
import { systemClock } from "../kernel/clock.js";
import type { TimerClock } from "../time/clock.js";
import { type Timer, timersOf } from "../time/timers.js";
import { judge, type Verdict } from "../verdict/verdict.js";
import type { HeartbeatAdapter, Peer } from "./adapter.js";
import { type BeatSettings, type BeatState, HeartbeatEngine } from "./engine/engine.js";
import { Phi } from "./engine/phi.js";
import { RoundTrip, type RoundTripFigures } from "./engine/round-trip.js";
import { beatSettings, patientWith, type Wanted } from "./engine/settings.js";
import type { IntervalLearner } from "./learner.js";
import { Outstanding } from "./outstanding.js";
import { payloadOf } from "./payload.js";
import { attempt, tell } from "./tell.js";

export interface HeartbeatOptions {
  /** What this side's application has to say with each beat and answer, where the protocol carries it: up to 64 KiB. */
  readonly payload?: () => Uint8Array | string;
  /** Has the interval learned instead of taken from the settings: from this side only, towards a server. */
  readonly learner?: IntervalLearner;
  /** Emits `doubt` when a silence is this unusual for this peer (phi accrual), long before its time is over. */
  readonly phiLevel?: number;
  /** Sends something at least this often, because the peer was promised so. Default: beats only to ask. */
  readonly sendEvery?: number;
  /** Ends the heartbeat, as `close()` does. */
  readonly signal?: AbortSignal;
  /** Default: the system's clocks. */
  readonly clock?: TimerClock;
  /** From 0 to 1: when within its wait this session beats. Default: any, so that many sessions do not beat together. */
  readonly phase?: number;
}

export interface HeartbeatEvents {
  /** A beat was sent. */
  beat: [number: number];
  /** A beat was answered; null where it is not certain which one. */
  answer: [rttUs: number | null];
  /** The peer's application says something with a beat or an answer. */
  payload: [payload: Uint8Array];
  /** The silence is unusual for this peer: phi has reached `phiLevel`. */
  doubt: [level: number];
  /** A beat was missed; the peer is asked again, at shorter intervals. */
  suspect: [];
  /** The peer was suspected, or in doubt, and is heard again. */
  recovered: [];
  /** The peer is dead; the connection has been let go of. */
  verdict: [verdict: Verdict];
  /** The connection ended by itself, or the heartbeat was closed: nothing more follows. */
  end: [];
}

/** The heartbeat of one connection; made by `heartbeat`. */
export class Heartbeat extends EventEmitter<HeartbeatEvents> implements Disposable {
  readonly #adapter: HeartbeatAdapter;
  readonly #options: HeartbeatOptions;
  readonly #clock: TimerClock;
  readonly #engine: HeartbeatEngine;
  readonly #timer: Timer;
  readonly #doubtTimer: Timer | null = null;
  readonly #roundTrip = new RoundTrip();
  readonly #outstanding = new Outstanding();
  readonly #phi: Phi;
  readonly #settings: BeatSettings;
  readonly #startedMs: number;
  readonly #detach: () => void;
  readonly #forgetStandstill: () => void;
  #peerSendsEveryMs = 0;
  #number = 0;
  #answeredMs: number | null = null;
  /** The last standstill of this side, and when it ended. */
  #standstill: { readonly lateMs: number; readonly wokeMs: number } | null = null;
  #sentMs: number;
  #doubted = false;
  #closed = false;
  #verdict: Verdict | null = null;

  /** Use `heartbeat`. */
  constructor(adapter: HeartbeatAdapter, wanted: Wanted, options: HeartbeatOptions) {
    super();
    this.#adapter = adapter;
    this.#options = options;
    const clock = options.clock ?? systemClock;
    this.#clock = clock;
    const { answers = true } = adapter;
    this.#settings = beatSettings(wanted, { answers, sendEveryMs: options.sendEvery ?? null });
    const nowMs = clock.monotonic();
    this.#startedMs = nowMs;
    this.#sentMs = nowMs;
    // A silence teaches about the path only if it is as long as it was meant to be.
    const phase = options.learner === undefined ? (options.phase ?? Math.random()) : 0;
    this.#engine = new HeartbeatEngine(this.#settingsNow(), { nowMs, phase });
    this.#phi = new Phi({ firstMs: this.#settings.idleMs });
    this.#phi.heard(nowMs);
    const timers = timersOf(clock);
    this.#timer = timers.timer(() => this.#look());
    if (options.phiLevel !== undefined) this.#doubtTimer = timers.timer(() => this.#lookForDoubt());
    this.#forgetStandstill = timers.onStandstill((lateMs) => this.#stoodStill(lateMs));
    const detach = adapter.listen(this.#peer());
    let attached = true;
    this.#detach = () => {
      if (attached) detach();
      attached = false;
    };
    if (options.signal !== undefined) closeOnAbort(options.signal, this);
    this.#schedule();
  }

  /** alive, asked, suspected or dead. */
  get state(): BeatState {
    return this.#engine.state;
  }

  /** False once the peer is dead, the connection has ended, or the heartbeat was closed. */
  get active(): boolean {
    return !this.#closed;
  }

  /** Once the peer is dead. */
  get verdict(): Verdict | null {
    return this.#verdict;
  }

  /** What is in force now: the peer's announcements and what was learned have their part in it. */
  get settings(): BeatSettings {
    return this.#engine.settings;
  }

  /** How long the peer has not been heard. */
  get silentMs(): number {
    return this.#clock.monotonic() - this.#engine.heardMs;
  }

  /** Beats in a row that were not answered. */
  get unanswered(): number {
    return this.#engine.unanswered;
  }

  /** null before the first answer. */
  get roundTrip(): RoundTripFigures | null {
    return this.#roundTrip.figures();
  }

  /** How unusual the present silence is for this peer: 1 is wrong one time in ten, 2 one in a hundred, and so on. */
  get phi(): number {
    return this.#phi.level(this.#clock.monotonic());
  }

  /** Stops watching; the connection lives on. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer.close();
    this.#doubtTimer?.close();
    this.#forgetStandstill();
    this.#detach();
    if (this.#options.signal !== undefined) forgetOnAbort(this.#options.signal, this);
    tell(this, "end");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #peer(): Peer {
    return {
      heard: () => this.#heard(),
      answered: (number, payload) => {
        const nowMs = this.#clock.monotonic();
        this.#answeredMs = nowMs;
        const answered = this.#outstanding.answered(number);
        const rttUs = answered === null ? null : (nowMs - answered.sentMs) * 1_000;
        if (rttUs !== null) this.#roundTrip.add(rttUs);
        if (answered?.silenceMs != null) this.#options.learner?.survived(answered.silenceMs);
        this.#heard();
        tell(this, "answer", rttUs);
        this.#hand(payload);
      },
      beaten: (payload, sendEveryMs) => {
        this.#announced(sendEveryMs);
        this.#heard();
        this.#hand(payload);
        // Whatever the adapter does with it, an answer goes out.
        this.#sent();
        return this.#payload();
      },
      sent: () => this.#sent(),
      ended: (lost = false) => {
        if (this.#closed) return;
        if (lost) this.#blamePath();
        this.close();
      },
    };
  }

  #heard(): void {
    if (this.#closed) return;
    const nowMs = this.#clock.monotonic();
    this.#phi.heard(nowMs);
    const recovered = this.#engine.heard(nowMs) || this.#doubted;
    this.#doubted = false;
    this.#adopt();
    this.#schedule();
    this.#expectDoubt();
    if (recovered) tell(this, "recovered");
  }

  #sent(): void {
    const nowMs = this.#clock.monotonic();
    this.#sentMs = nowMs;
    this.#engine.sent(nowMs);
  }

  #hand(payload: Uint8Array | undefined): void {
    if (payload !== undefined && payload.length > 0 && !this.#closed) tell(this, "payload", payload);
  }

  /** The peer sends something at least this often from now on. */
  #announced(sendEveryMs: number | undefined): void {
    if (sendEveryMs === undefined || sendEveryMs === this.#peerSendsEveryMs) return;
    this.#peerSendsEveryMs = sendEveryMs;
    this.#adopt();
  }

  #settingsNow(): BeatSettings {
    const { learner } = this.#options;
    const { intervalMs } = this.#settings;
    const idleMs = learner === undefined ? this.#settings.idleMs : Math.max(learner.intervalMs, intervalMs);
    // The peer is asked after the silence that is being tried; the promise is for the case that the peer alone talks.
    const sendEveryMs = learner?.promiseMs ?? this.#settings.sendEveryMs;
    return patientWith({ ...this.#settings, idleMs, sendEveryMs }, this.#peerSendsEveryMs);
  }

  #adopt(): void {
    const next = this.#settingsNow();
    const now = this.#engine.settings;
    const same = (["idleMs", "sendEveryMs", "peerSendsEveryMs"] as const).every(
      (name) => next[name] === now[name],
    );
    if (!same) this.#engine.adopt(next);
  }

  #stoodStill(lateMs: number): void {
    const nowMs = this.#clock.monotonic();
    this.#standstill = { lateMs, wokeMs: nowMs };
    this.#engine.stoodStill(nowMs);
    this.#phi.stoodStill(nowMs);
    // A path that forgot the connection while nobody could beat has not forgotten it too early.
    this.#outstanding.excuse();
    this.#sentMs = nowMs;
  }

  #look(): void {
    if (this.#closed) return;
    if (attempt(() => this.#adapter.progressed?.(), false) === true) this.#heard();
    const nowMs = this.#clock.monotonic();
    for (
      let action = this.#engine.check(nowMs);
      action !== null && !this.#closed;
      action = this.#engine.check(nowMs)
    ) {
      if (action === "beat") this.#beat(nowMs);
      else if (action === "suspect") tell(this, "suspect");
      else this.#dead(nowMs);
    }
    this.#schedule();
  }

  #beat(nowMs: number): void {
    this.#number = this.#number === 0xffffffff ? 1 : this.#number + 1;
    const number = this.#number;
    const silenceMs = nowMs - Math.max(this.#engine.heardMs, this.#sentMs);
    this.#outstanding.sent(number, nowMs, this.#engine.unanswered <= 1 ? silenceMs : null);
    this.#sentMs = nowMs;
    const { sendEveryMs } = this.#engine.settings;
    try {
      this.#adapter.beat({ number, sendEveryMs: sendEveryMs ?? 0, payload: this.#payload() });
    } catch {
      // A connection that takes nothing any more says so itself; if it does not, this beat is one more without an answer.
    }
    tell(this, "beat", number);
  }

  #payload(): Uint8Array {
    return payloadOf(this.#options.payload);
  }

  #dead(nowMs: number): void {
    const { socket = null } = this.#adapter;
    const sinceAnswerMs = this.#answeredMs === null ? null : nowMs - this.#answeredMs;
    const heardMs = nowMs - this.#engine.heardMs;
    const figures = socket === null ? null : figuresOf(baseFd(socket));
    const evidence = { missed: this.#engine.unanswered, lastAnswerMs: sinceAnswerMs ?? heardMs };
    this.#verdict = judge({
      at: this.#clock.now(),
      ageMs: nowMs - this.#startedMs,
      heartbeat: evidence,
      figures,
      ...(figures === null ? { lastHeardMs: heardMs } : {}),
      timer: "heartbeat",
      selfPausedMs: this.#pausedMs(),
    });
    this.#blamePath();
    if (socket !== null) guardOn(socket)?.blame(evidence);
    const verdict = this.#verdict;
    // Nothing of the connection is heard any more, its closing least of all.
    this.#detach();
    attempt(() => this.#adapter.close(verdict), undefined);
    tell(this, "verdict", verdict);
    this.close();
  }

  /** For how long this side stood still since the peer was last heard. */
  #pausedMs(): number | null {
    const paused = this.#standstill;
    return paused !== null && paused.wokeMs >= this.#engine.heardMs ? paused.lateMs : null;
  }

  /** The connection was lost, perhaps because the path had forgotten it during the silence before the first unanswered beat. */
  #blamePath(): void {
    const silenceMs = this.#outstanding.firstSilenceMs();
    if (silenceMs !== null) this.#options.learner?.lost(silenceMs);
  }

  #schedule(): void {
    if (this.#closed) return;
    const nextMs = this.#engine.nextMs();
    if (nextMs === Number.POSITIVE_INFINITY) this.#timer.clear();
    else this.#timer.set(nextMs - this.#clock.monotonic());
  }

  #expectDoubt(): void {
    if (this.#doubtTimer === null) return;
    const nowMs = this.#clock.monotonic();
    this.#doubtTimer.set(this.#phi.reaches(this.#options.phiLevel ?? 0) - nowMs);
  }

  #lookForDoubt(): void {
    const level = this.phi;
    if (this.#closed || this.#doubted || level < (this.#options.phiLevel ?? 0)) return;
    this.#doubted = true;
    tell(this, "doubt", level);
  }
}

/**
 * Watches one connection by heartbeats: asks a silent peer, suspects it after the first miss, and lets go of the connection when it
 * is dead. Whatever arrives is proof of life, so nothing is sent while the peer talks.
 *
 * @param adapter what the protocol needs: one of deadpeer's, or one's own.
 * @param wanted `"normal"` (notices within 30 to 40 s), `"demanding"` (6 to 9 s), `{ detectWithin: "2m" }`, or settings.
 * @throws DeadpeerError `bad-option`, `bad-duration`; for a time to detect what `planDetection` throws; `aborted`.
 * @example
 * const beats = heartbeat(overFrames(socket), "normal");
 * beats.on("verdict", (verdict) => console.log(verdict.sentence));
 */
export function heartbeat(
  adapter: HeartbeatAdapter,
  wanted: Wanted = "normal",
  options: HeartbeatOptions = {},
): Heartbeat {
  if (options.signal?.aborted === true)
    throw new DeadpeerError("aborted", "heartbeat: the signal was already aborted");
  return new Heartbeat(adapter, wanted, options);
}
