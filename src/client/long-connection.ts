import { EventEmitter } from "node:events";
import { networkInterfaces } from "node:os";
import { DeadpeerError } from "../errors.js";
import { closeOnAbort, forgetOnAbort } from "../guard/closing.js";
import type { HeartbeatAdapter, Peer } from "../heartbeat/adapter.js";
import { type Heartbeat, heartbeat } from "../heartbeat/heartbeat.js";
import { IntervalLearner } from "../heartbeat/learner.js";
import { progressOf } from "../heartbeat/progress.js";
import type { Beat, Bye, Data, Hello, Message } from "../heartbeat/protocol/message.js";
import { limits, protocolVersion } from "../heartbeat/protocol/message.js";
import { bytesOf } from "../heartbeat/session/bytes-of.js";
import { Delivery, type Offence, unkept } from "../heartbeat/session/delivery.js";
import type { SessionJournal } from "../heartbeat/session/journal.js";
import { endInTime } from "../heartbeat/session/end-in-time.js";
import type { Wire, WireListener } from "../heartbeat/session/wire.js";
import { tell } from "../heartbeat/tell.js";
import { type Timer, timersOf } from "../time/timers.js";
import { judge, type Verdict } from "../verdict/verdict.js";
import { Backoff } from "./backoff.js";
import { type Attempt, dial, type Failure, type Met } from "./dial.js";
import { NetworkWatch } from "./network-watch.js";
import { type ClientSettings, clientSettings, type LongConnectionOptions } from "./options.js";
import { type ConnectionState, mayGo } from "./states.js";
import { type Target, targetText } from "./target.js";

/** How the connection came about. */
export interface Online {
  /** The server's name for the session, 32 hexadecimal digits. */
  readonly session: string;
  /** false: a new session, at the beginning or because the server has forgotten the one before. */
  readonly resumed: boolean;
  /** Which of the addresses it was, such as `tls://hub.example:7443`. */
  readonly to: string;
}

export interface Retry {
  /** Attempts that have failed in a row. */
  readonly attempt: number;
  /** Until the next one, unless the network changes before. */
  readonly delayMs: number;
  /** Why the last one failed, or why the connection ended. */
  readonly problem: string;
}

export interface LongConnectionEvents {
  state: [to: ConnectionState, from: ConnectionState];
  online: [online: Online];
  /** The connection is gone; it is going to come back. */
  offline: [verdict: Verdict];
  retry: [retry: Retry];
  /** A message of the server's, once and in order; a part of a greater buffer, so copy what is to be kept. */
  data: [payload: Uint8Array, sequence: number];
  /** What the server's application says with its answers and beats. */
  payload: [payload: Uint8Array];
  /** A beat was missed. */
  suspect: [];
  /** A message that was given will not arrive, because of the queue's policy. */
  dropped: [payload: Uint8Array];
  /** The server does not know the session any more: what waits goes to a new one, and may arrive a second time. */
  forgotten: [];
  /** For good: by `close` or the signal (null), or because the server does not want it back. */
  closed: [error: DeadpeerError | null];
}

/** The name under which a client keeps its one session. */
const keptAs = "client";
/** Networks whose interval is remembered at a time. */
const mostLearners = 16;
const none = new Uint8Array();

/**
 * A connection to a HeartbeatServer that comes back: it connects, beats, notices when the server is gone, waits a while, and goes on
 * where it was. What is sent meanwhile waits, and arrives.
 *
 * @example
 * const connection = new LongConnection({ to: "tls://hub.example:7443", detect: "normal" });
 * connection.on("data", (payload) => handle(payload));
 * connection.on("offline", (verdict) => console.log(verdict.sentence));
 * connection.send("hello");
 */
export class LongConnection extends EventEmitter<LongConnectionEvents> implements AsyncDisposable {
  readonly #options: LongConnectionOptions;
  readonly #settings: ClientSettings;
  readonly #backoff: Backoff;
  readonly #network: NetworkWatch | null;
  readonly #learners = new Map<string, IntervalLearner>();
  readonly #retryTimer: Timer;
  readonly #stableTimer: Timer;
  readonly #drainTimer: Timer;
  readonly #forgetStandstill: () => void;
  readonly #delivery: Delivery;
  readonly #journal: SessionJournal | null;
  #state: ConnectionState = "connecting";
  #session: { readonly id: Uint8Array; readonly token: Uint8Array } | null = null;
  /** There was one before. */
  #hadSession = false;
  #target = 0;
  /** Addresses that have failed since it last was online, or waited. */
  #failures = 0;
  #attempt: Attempt | null = null;
  #met: Met | null = null;
  #heartbeat: Heartbeat | null = null;
  #peer: Peer | null = null;
  /** A message is being handed over. */
  #handing = false;
  #closing: Promise<void> | null = null;
  #whenClosed: (() => void) | null = null;

  /** Begins to connect at once. @throws DeadpeerError `bad-option`, `bad-address`, `bad-duration`, `aborted`; what the store throws. */
  constructor(options: LongConnectionOptions) {
    super();
    if (options.signal?.aborted === true)
      throw new DeadpeerError("aborted", "LongConnection: the signal was already aborted");
    this.#options = options;
    this.#settings = clientSettings(options);
    const { clock, firstMs, mostMs, bounds } = this.#settings;
    const kept = options.store?.load().sessions.find(({ id }) => id === keptAs);
    if (kept !== undefined && kept.name.length > limits.sessionId)
      this.#session = {
        id: kept.name.subarray(0, limits.sessionId),
        token: kept.name.subarray(limits.sessionId),
      };
    this.#journal = options.store?.journal(keptAs) ?? null;
    this.#delivery = new Delivery({
      clock,
      bounds,
      journal: this.#journal,
      ...(kept === undefined ? {} : { kept }),
      onData: (payload, sequence) => this.emit("data", payload, sequence),
      onDropped: (payload) => tell(this, "dropped", payload),
      onEmpty: () => this.#drained(),
    });
    this.#backoff = new Backoff({ firstMs, mostMs, random: Math.random });
    this.#network = options.watchNetwork === false ? null : new NetworkWatch(clock);
    const timers = timersOf(clock);
    this.#retryTimer = timers.timer(() => this.#connect());
    this.#stableTimer = timers.timer(() => this.#backoff.reset());
    this.#drainTimer = timers.timer(() => this.#finish(null));
    this.#forgetStandstill = timers.onStandstill(() => this.#woke());
    if (options.signal !== undefined) closeOnAbort(options.signal, this.#onAbort);
    // Whoever made it may listen first.
    process.nextTick(() => {
      if (this.#state === "connecting") this.#connect();
    });
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Messages that wait, or are not yet acknowledged. */
  get queued(): number {
    return this.#delivery.outbox.length;
  }

  /** The sequence of the last message that was given to `send`. */
  get given(): number {
    return this.#delivery.given;
  }

  /** The sequence of the last message that arrived. */
  get received(): number {
    return this.#delivery.received;
  }

  /** The heartbeat of the present connection; null while there is none. */
  get heartbeat(): Heartbeat | null {
    return this.#heartbeat;
  }

  /**
   * Sends a message, at once or when the server is back. The bytes are not copied: leave them as they are.
   *
   * @returns false if it was dropped (`drop-newest`).
   * @throws DeadpeerError `queue-full`, `connection-closed`; `bad-option` for more than 1 MiB, and what is neither text nor bytes.
   */
  send(payload: Uint8Array | string): boolean {
    if (this.#state === "closed" || this.#state === "closing")
      throw new DeadpeerError(
        "connection-closed",
        "the connection has been closed; nothing can be sent over it",
      );
    if (this.#state !== "online" && this.#options.whileAway === "refuse")
      throw new DeadpeerError("queue-full", "the server is away, and nothing is to be queued meanwhile");
    const bytes = bytesOf(payload, limits.dataPayload);
    const queued = this.#delivery.push(bytes);
    this.#peer?.sent();
    return queued;
  }

  /** Tries at once, if it waits for its next attempt. */
  retryNow(): void {
    if (this.#state === "waiting") this.#connect();
  }

  /**
   * Sends what waits, says goodbye and ends the session.
   *
   * @param within how long that may take; afterwards it is closed all the same. Default 5s.
   */
  close({ withinMs = 5_000 }: { readonly withinMs?: number } = {}): Promise<void> {
    if (this.#state === "closed") return Promise.resolve();
    if (this.#closing !== null) return this.#closing;
    this.#closing = new Promise((resolve) => (this.#whenClosed = resolve));
    const before = this.#state;
    this.#go("closing");
    this.#drainTimer.set(withinMs);
    if (this.#delivery.outbox.length === 0) this.#finish("done");
    // It goes on trying meanwhile.
    else if (before === "waiting") this.#connect();
    return this.#closing;
  }

  /**
   * Ends this process's part and leaves the session to the next one, which goes on with it by the same store. Nothing is waited for: what
   * was not sent is in the store.
   */
  leave(): void {
    this.#finish("shutdown");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #onAbort = { close: (): void => this.#finish(null) };

  #go(to: ConnectionState): void {
    const from = this.#state;
    if (from === to) return;
    if (!mayGo(from, to)) throw new RangeError(`a long connection does not go from ${from} to ${to}`);
    this.#state = to;
    tell(this, "state", to, from);
  }

  // Connecting.

  #connect(): void {
    this.#retryTimer.clear();
    this.#network?.stopWaiting();
    if (this.#state === "closed" || this.#attempt !== null || this.#met !== null) return;
    if (this.#state !== "closing") this.#go("connecting");
    // A listener may have closed it.
    if ((this.#state as ConnectionState) === "closed") return;
    const target = this.#targetNow();
    this.#attempt = dial(target, {
      options: this.#options,
      settings: this.#settings,
      listener: this.#listener,
      hello: (network) => this.#hello(network),
      met: (met) => this.#online(met, target),
      failed: (failure) => this.#failed(failure),
    });
  }

  #targetNow(): Target {
    const { targets } = this.#settings;
    return targets[this.#target % targets.length] ?? targets[0];
  }

  #hello(network: string): Hello {
    const { beats } = this.#settings;
    const learner = this.#learner(network);
    const idleMs = learner === null ? beats.idleMs : Math.max(learner.intervalMs, beats.intervalMs);
    return {
      type: "hello",
      version: protocolVersion,
      sendEveryMs: learner?.promiseMs ?? 0,
      deadlineMs: idleMs + beats.intervalMs * beats.count,
      maxPayload: limits.dataPayload,
      session: this.#session?.id ?? null,
      token: this.#session?.token ?? none,
      received: this.#session === null ? 0 : this.#delivery.received,
      key: none,
    };
  }

  #learner(path: string): IntervalLearner | null {
    const { adaptive } = this.#options;
    if (adaptive === undefined) return null;
    const network = adaptive.network ?? path;
    const present = this.#learners.get(network);
    if (present !== undefined) return present;
    if (this.#learners.size >= mostLearners) this.#learners.clear();
    const learner = new IntervalLearner({ ...adaptive, network }, this.#settings.clock);
    this.#learners.set(network, learner);
    return learner;
  }

  #failed({ problem, bye }: Failure): void {
    this.#attempt = null;
    if (bye !== null && this.#afterBye(bye)) return;
    // The other addresses are tried at once; all of them together are one attempt.
    this.#target++;
    this.#failures++;
    if (this.#failures < this.#settings.targets.length) this.#connect();
    else this.#wait(problem);
  }

  #wait(problem: string): void {
    this.#failures = 0;
    const delayMs = this.#backoff.next();
    if (this.#state !== "closing") this.#go("waiting");
    if (this.#isOver()) return;
    this.#retryTimer.set(delayMs);
    this.#network?.wait(() => this.#connect());
    tell(this, "retry", { attempt: this.#backoff.attempts, delayMs, problem });
  }

  /** Asked after events: a listener may have closed it. */
  #isOver(): boolean {
    return this.#state === "closed";
  }

  /** This process or its machine stood still: the wait is over in any case. */
  #woke(): void {
    if (this.#state === "waiting" || (this.#state === "closing" && this.#attempt === null)) this.#connect();
  }

  // Online.

  #online(met: Met, target: Target): void {
    this.#attempt = null;
    this.#met = met;
    const { wire, hello, guard } = met;
    const resumed = hello.session !== null && this.#session !== null && same(hello.session, this.#session.id);
    if (hello.version !== protocolVersion || hello.session === null) {
      this.#broken("the server speaks another version, or keeps no sessions");
      return;
    }
    if (!resumed) this.#begin(Buffer.from(hello.session), Buffer.from(hello.token));
    // A listener may have closed it, or the store have failed.
    if (this.#met !== met) return;
    guard?.on("verdict", (verdict) => this.#lost(wire, verdict));
    this.#beat(met);
    this.#stableTimer.set(this.#settings.stableMs);
    if (this.#state !== "closing") this.#go("online");
    if (this.#met !== met) return;
    tell(this, "online", {
      session: Buffer.from(hello.session).toString("hex"),
      resumed,
      to: targetText(target),
    });
    if (this.#met !== met) return;
    this.#delivery.toldReceived();
    this.#offended(this.#delivery.attach(wire, { received: hello.received, maxPayload: hello.maxPayload }));
    if (this.#met === met && this.#state === "closing" && this.#delivery.outbox.length === 0)
      this.#finish("done");
  }

  #begin(id: Uint8Array, token: Uint8Array): void {
    const forgotten = this.#hadSession;
    this.#session = { id, token };
    this.#hadSession = true;
    this.#delivery.restart();
    try {
      this.#journal?.named(Buffer.concat([id, token]));
    } catch (error) {
      // The next process would go on with another session than this one: the next connection begins one anew.
      this.#session = null;
      this.#offended(unkept(error));
      return;
    }
    if (forgotten) tell(this, "forgotten");
  }

  #beat({ wire, network, hello }: Met): void {
    const adapter: HeartbeatAdapter = {
      socket: wire.socket,
      ...(wire.socket === null ? {} : { progressed: progressOf(wire.socket) }),
      listen: (peer) => {
        this.#peer = peer;
        return () => {
          this.#peer = null;
        };
      },
      beat: ({ number, sendEveryMs, payload }) =>
        wire.send({ type: "beat", number, sendEveryMs, received: this.#delivery.toldReceived(), payload }),
      close: () => {},
    };
    const learner = this.#learner(network);
    const { payload } = this.#options;
    this.#heartbeat = heartbeat(adapter, this.#options.detect ?? "normal", {
      clock: this.#settings.clock,
      ...(learner === null ? {} : { learner }),
      ...(payload === undefined ? {} : { payload }),
    });
    // What the server promises in its hello is as good as in a beat.
    if (hello.sendEveryMs > 0) this.#peer?.beaten(none, hello.sendEveryMs);
    this.#heartbeat.on("payload", (bytes) => tell(this, "payload", bytes));
    this.#heartbeat.on("suspect", () => this.#suspect());
    this.#heartbeat.on("verdict", (verdict) => {
      if (!wire.reliable) wire.send({ type: "bye", reason: "given-up", text: "" });
      this.#lost(wire, verdict);
    });
  }

  /** A beat was missed. If this host has lost the connection's own address, nothing can arrive any more: no need to wait. */
  #suspect(): void {
    tell(this, "suspect");
    const met = this.#met;
    if (met === null || this.#network === null || !isGone(met.wire.socket?.localAddress)) return;
    const { silentMs = 0, unanswered = 0 } = this.#heartbeat ?? {};
    const verdict = judge({
      at: this.#settings.clock.now(),
      heartbeat: { missed: unanswered, lastAnswerMs: silentMs },
      lastHeardMs: silentMs,
      timer: "heartbeat",
    });
    this.#backoff.reset();
    this.#lost(met.wire, verdict);
    this.retryNow();
  }

  readonly #listener: WireListener = {
    onMessage: (message) => this.#heard(message),
    onRead: () => this.#delivery.acknowledge(),
    onDrain: () => {
      this.#peer?.heard();
      this.#delivery.drained();
    },
    onProtocolError: (problem) => this.#broken(problem.message),
  };

  #heard(message: Message): void {
    const wire = this.#met?.wire;
    const peer = this.#peer;
    if (wire === undefined || peer === null) return;
    switch (message.type) {
      case "beat":
        this.#answer(message, wire, peer);
        this.#acknowledged(message.received);
        break;
      case "answer":
        peer.answered(message.number, message.payload);
        this.#acknowledged(message.received);
        break;
      case "data":
        peer.heard();
        this.#handed(message);
        break;
      case "acknowledgement":
        peer.heard();
        this.#acknowledged(message.received);
        break;
      case "bye":
        this.#goodbye(message);
        break;
      default:
        peer.heard();
        if (wire.reliable) this.#broken("the server said hello twice");
    }
  }

  #answer(beat: Beat, wire: Wire, peer: Peer): void {
    const payload = peer.beaten(beat.payload, beat.sendEveryMs);
    if (wire.crowded) return;
    wire.send({
      type: "answer",
      number: beat.number,
      sendEveryMs: this.#heartbeat?.settings.sendEveryMs ?? 0,
      payload,
      received: this.#delivery.toldReceived(),
    });
  }

  #handed({ sequence, payload }: Data): void {
    this.#handing = true;
    try {
      this.#offended(this.#delivery.data(sequence, payload));
    } finally {
      this.#handing = false;
      if (this.#isOver()) this.#closeStore();
    }
  }

  #acknowledged(received: number): void {
    this.#offended(this.#delivery.acknowledged(received));
  }

  #offended(offence: Offence | null): void {
    if (offence === null) return;
    if (offence.by === "peer") this.#broken(offence.text);
    else this.#partWith("evicted", offence.text);
  }

  // The end of a connection.

  /** The server broke the protocol. */
  #broken(problem: string): void {
    this.#partWith("protocol-error", problem, `the server broke the protocol: ${problem}`);
  }

  /** This side will not go on with the connection, and says why. */
  #partWith(reason: Bye["reason"], text: string, policy = text): void {
    const met = this.#met;
    if (met === null) return;
    met.wire.send({ type: "bye", reason, text: text.slice(0, 200) });
    this.#lost(met.wire, judge({ at: this.#settings.clock.now(), closedBy: "policy", policy }), "end");
  }

  #goodbye(bye: Bye): void {
    const verdict = judge({ at: this.#settings.clock.now(), peerFin: true });
    this.#release("end");
    // A server that has just accepted the session, and does not know it any more, is not asked again at once.
    if (bye.reason === "unknown-session") this.#session = null;
    else if (this.#afterBye(bye)) return;
    tell(this, "offline", verdict);
    this.#comeBack(`the server said ${bye.reason}${bye.text === "" ? "" : `: ${bye.text}`}`);
  }

  /** @returns whether that is the end of it, or it is dealt with already. */
  #afterBye({ reason, text }: Bye): boolean {
    if (reason === "unknown-session" && this.#session !== null) {
      this.#session = null;
      this.#connect();
      return true;
    }
    if (!final.has(reason)) return false;
    this.#finish(
      null,
      new DeadpeerError(
        "connection-closed",
        `the server does not want the connection back: ${reason}${text === "" ? "" : `, ${text}`}`,
      ),
    );
    return true;
  }

  #lost(wire: Wire, verdict: Verdict, how: "destroy" | "end" = "destroy"): void {
    if (this.#met?.wire !== wire) return;
    this.#release(how, !["closed", "local", "evicted"].includes(verdict.state));
    tell(this, "offline", verdict);
    if (!this.#isOver()) this.#comeBack(verdict.sentence);
  }

  #comeBack(problem: string): void {
    if (this.#isOver() || this.#attempt !== null || this.#met !== null) return;
    this.#wait(problem);
  }

  /** @param lost it broke, or was given up; not so where one of the sides has ended it. */
  #release(how: "destroy" | "end", lost = false): void {
    const met = this.#met;
    if (met === null) return;
    this.#met = null;
    this.#stableTimer.clear();
    this.#peer?.ended(lost);
    this.#heartbeat?.close();
    this.#heartbeat = null;
    this.#delivery.detach();
    met.guard?.close();
    if (how === "destroy") met.wire.destroy();
    else endInTime(met.wire, this.#settings.clock);
  }

  #closeStore(): void {
    this.#kept(() => this.#options.store?.close());
  }

  /** What the store throws at the very end. */
  #kept(write: () => void): void {
    try {
      write();
    } catch (error) {
      process.emitWarning(unkept(error).text, "DeadpeerWarning");
    }
  }

  #drained(): void {
    if (this.#state === "closing") this.#finish("done");
  }

  /** @param goodbye null: none, it just ends. */
  #finish(goodbye: "done" | "shutdown" | null, error: DeadpeerError | null = null): void {
    if (this.#state === "closed") return;
    if (goodbye !== null) this.#met?.wire.send({ type: "bye", reason: goodbye, text: "" });
    this.#release(goodbye === null ? "destroy" : "end");
    this.#attempt?.giveUp();
    this.#attempt = null;
    for (const timer of [this.#retryTimer, this.#stableTimer, this.#drainTimer]) timer.close();
    this.#forgetStandstill();
    this.#network?.close();
    if (this.#options.signal !== undefined) forgetOnAbort(this.#options.signal, this.#onAbort);
    if (goodbye === "done") this.#kept(() => this.#journal?.ended());
    // What is just being handed over is written down first: `leave` may be called for that very message.
    if (!this.#handing) this.#closeStore();
    this.#go("closed");
    tell(this, "closed", error);
    this.#whenClosed?.();
  }
}

/** After these the server is not asked again. */
const final: ReadonlySet<Bye["reason"]> = new Set<Bye["reason"]>([
  "done",
  "no-agreement",
  "version",
  "replaced",
]);

/** Whether this host has had an address, and has it no more. */
function isGone(address: string | undefined): boolean {
  if (address === undefined) return false;
  const bare = address.replace(/^::ffff:/, "").replace(/%.*$/, "");
  return !Object.values(networkInterfaces()).some((present) => present?.some((own) => own.address === bare));
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.length).equals(b);
}
