import type { Socket } from "node:net";
import { stopProbes } from "../guard/apply.js";
import { figuresOf, gatherEvidence, unreadEnd } from "../guard/gather.js";
import { baseFd } from "../guard/inner-socket.js";
import { type BeatSettings, HeartbeatEngine } from "../heartbeat/engine/engine.js";
import { progressOf } from "../heartbeat/progress.js";
import { answerInPlace, type Said } from "../heartbeat/protocol/answer-in-place.js";
import type { Beat, ByeReason, Hello, Message } from "../heartbeat/protocol/message.js";
import { DeadpeerError } from "../errors.js";
import { bytesOf } from "../heartbeat/session/bytes-of.js";
import { Delivery, type Offence } from "../heartbeat/session/delivery.js";
import type { KeptSession, SessionJournal } from "../heartbeat/session/journal.js";
import type { StreamListener, StreamWire } from "../heartbeat/session/stream-wire.js";
import type { Transport, Wire } from "../heartbeat/session/wire.js";
import { judge, type Verdict } from "../verdict/verdict.js";
import type { Evidence } from "../verdict/evidence.js";
import type { Due } from "./agenda.js";
import { beatBurst } from "./beat-rate.js";
import type { Lot, Place } from "./parking/lot.js";
import type { HandedBack, Tenant, Terms } from "./parking/tenant.js";
import { transferError } from "./parking/transfer-error.js";
import type { SessionHost } from "./host.js";

/** `away`: its client is not connected, and may come back. */
export type SessionState = "present" | "away" | "ended";

/** Why a session is over. */
export type SessionEnd = "bye" | "expired" | "closed" | "server-closed";

/** A client's session, through all its connections. */
export interface Session {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly state: SessionState;
  /** Over what it is connected now, or was last. */
  readonly transport: Transport | null;
  /** Its address now, or where it was last. */
  readonly remote: { readonly address: string; readonly port: number } | null;
  /** For how long nothing has arrived; while it is away, for how long it has been. */
  readonly silentMs: number;
  /** Messages that wait, or are not yet acknowledged. */
  readonly queued: number;
  /** The sequence of the last message that was given to `send`, and of the last that arrived. */
  readonly given: number;
  readonly received: number;
  /** What the application likes to keep here. */
  context: unknown;
  /**
   * Sends a message, at once or when the client is back. The bytes are not copied: leave them as they are.
   *
   * @returns false if it was dropped (`drop-newest`).
   * @throws DeadpeerError `queue-full`, `connection-closed`; `bad-option` for more than the server's `maxPayload`, and what is neither text nor bytes.
   */
  send(payload: Uint8Array | string): boolean;
  /** Ends the session, and its connection with a goodbye. */
  close(text?: string): void;
  /** Ends the connection by a policy; the session waits, and its client may come back. */
  evict(text: string): void;
}

/** Over this many beats in excess a session is told and closed. */
const excessBeats = 100;
const said: Said = { sendEveryMs: 0, received: 0 };

export class HostedSession implements Session, StreamListener, Tenant, Due {
  readonly id: string;
  place = -1;
  context: unknown = undefined;
  readonly #host: SessionHost;
  #state: SessionState = "away";
  #wire: Wire | null = null;
  /** Where in the lot its connection is, if it is there. */
  #place: Place | null = null;
  /** When it last needed more than an answer to a beat. */
  #busyMs = 0;
  #engine: HeartbeatEngine | null = null;
  #delivery: Delivery | null = null;
  #remote: { readonly address: string; readonly port: number } | null = null;
  #transport: Transport | null = null;
  #peerSendsEveryMs = 0;
  #peerMaxPayload = 0;
  #beats = 0;
  /** When the beats so far are all paid for (a leaky bucket as a clock: the generic cell rate algorithm of ATM). */
  #paidMs = 0;
  #excess = 0;
  #sinceMs: number;
  /** Looks whether a peer that was asked takes what waits for it. */
  #progressed: (() => boolean) | null = null;
  /** The last standstill of this side, and when it ended. */
  #standstill: { readonly lateMs: number; readonly wokeMs: number } | null = null;

  constructor(host: SessionHost, id: string, kept: KeptSession | null) {
    this.#host = host;
    this.id = id;
    this.#sinceMs = host.agenda.nowMs;
    // What the store throws leaves nothing behind.
    if (kept !== null || host.journalled) this.#delivery = this.#newDelivery(kept);
    host.agenda.enter(this);
    host.agenda.set(this, this.#sinceMs + host.settings.graceMs);
  }

  get state(): SessionState {
    return this.#state;
  }

  get transport(): Transport | null {
    return this.#transport;
  }

  /** Of a stream, the socket knows it, or the lot: most sessions are never asked, and need not keep it. */
  get remote(): { readonly address: string; readonly port: number } | null {
    return this.#wire?.remote ?? this.#remote ?? this.#place?.shift.remote(this.#place.slot) ?? null;
  }

  get silentMs(): number {
    this.#askLot();
    return this.#host.agenda.nowMs - (this.#engine?.heardMs ?? this.#sinceMs);
  }

  get queued(): number {
    return this.#delivery?.outbox.length ?? 0;
  }

  get given(): number {
    return this.#delivery?.given ?? 0;
  }

  get received(): number {
    return this.#delivery?.received ?? 0;
  }

  send(payload: Uint8Array | string): boolean {
    if (this.#state === "ended")
      throw new DeadpeerError("connection-closed", `session ${this.id} is over; nothing can be sent to it`);
    const bytes = bytesOf(payload, this.#host.settings.maxPayload);
    const queued = this.#deliver().push(bytes);
    this.#busyMs = this.#host.agenda.nowMs;
    this.#engine?.sent(this.#busyMs);
    this.recall();
    return queued;
  }

  close(text = ""): void {
    if (this.#state === "ended") return;
    this.#part("done", text, { closedBy: "program" });
    this.end("closed");
  }

  evict(text: string): void {
    this.#part("evicted", text, { closedBy: "policy", policy: text });
  }

  /**
   * The client is here, over this wire, which has just brought its hello.
   *
   * @param remote where it is, if the wire has no socket that knows.
   * @returns what is wrong with it.
   */
  come(wire: Wire, hello: Hello, remote: { address: string; port: number } | null): Offence | null {
    if (this.#wire !== null || this.#place !== null)
      this.#part("replaced", "the session has come back over another connection", this.#unreadEnd());
    const offence =
      this.#delivery?.acknowledged(hello.received) ??
      (hello.received > 0 && this.#delivery === null
        ? { text: "more received than was ever sent", by: "peer" }
        : null);
    if (offence !== null) return offence;
    this.#onto(wire, hello.sendEveryMs, remote);
    this.#peerMaxPayload = hello.maxPayload;
    return null;
  }

  /** Our hello is out: what waited may follow. */
  go(peerReceived: number): void {
    const delivery = this.#delivery;
    // What the application gave for a new session has gone out already.
    if (this.#wire === null || delivery === null || delivery.isOn(this.#wire)) return;
    delivery.toldReceived();
    delivery.attach(this.#wire, { received: peerReceived, maxPayload: this.#peerMaxPayload });
  }

  /** The client goes on over datagrams. */
  move(wire: Wire, remote: { address: string; port: number }): void {
    const before = this.#wire;
    const received = this.#delivery?.outbox.acknowledged ?? 0;
    if (before?.socket != null || this.#place !== null) this.#takeLeave("replaced", "");
    const wasAway = this.#state === "away";
    this.#onto(wire, this.#peerSendsEveryMs, remote);
    this.#delivery?.attach(wire, { received, maxPayload: this.#peerMaxPayload });
    if (wasAway) this.#host.resumed(this);
  }

  /** The datagrams come from another address now, as where a NAT has given another. */
  movedTo(remote: { address: string; port: number }): void {
    this.#remote = remote;
  }

  #onto(wire: Wire, sendEveryMs: number, remote: { address: string; port: number } | null): void {
    const { nowMs } = this.#host.agenda;
    this.#wire = wire;
    this.#busyMs = nowMs;
    this.#remote = remote;
    this.#transport = wire.transport;
    this.#state = "present";
    this.#excess = 0;
    this.#paidMs = 0;
    this.#peerSendsEveryMs = sendEveryMs;
    // A client that will be heard may be learning how long a silence the path bears; probes of TCP's would end each.
    if (sendEveryMs > 0 && wire.socket !== null) stopProbes(wire.socket);
    this.#engine = new HeartbeatEngine(this.#settings(), { nowMs, phase: Math.random() });
    this.#schedule();
  }

  // What arrives.

  /** Beats, and nothing else, are by far the most frequent. */
  takeWhole(chunk: Buffer): boolean {
    const wire = this.#wire;
    const engine = this.#engine;
    if (wire?.socket == null || engine === null || !this.#host.plainAnswers()) return false;
    if (wire.crowded) return false;
    const { nowMs } = this.#host.agenda;
    // Whoever comes near the limit is looked at beat by beat.
    if (this.#paidMs - nowMs > (beatBurst - chunk.length / 20) * this.#host.settings.beatEveryMs)
      return false;
    said.sendEveryMs = 0;
    const count = answerInPlace(chunk, { sendEveryMs: 0, received: this.received }, said);
    if (count === 0) return false;
    this.#delivery?.toldReceived();
    this.#paidMs = Math.max(nowMs, this.#paidMs) + count * this.#host.settings.beatEveryMs;
    engine.heard(nowMs);
    engine.sent(nowMs);
    if (said.sendEveryMs !== this.#peerSendsEveryMs) this.#announced(said.sendEveryMs);
    wire.socket.write(chunk);
    if (said.received > 0) this.#acknowledged(said.received);
    return true;
  }

  onMessage(message: Message): void {
    // After a bye of either side nothing is listened to.
    if (this.#wire === null) return;
    this.#busyMs = this.#host.agenda.nowMs;
    this.#engine?.heard(this.#busyMs);
    switch (message.type) {
      case "beat":
        this.#beaten(message);
        break;
      case "answer":
        this.#announced(message.sendEveryMs);
        this.#acknowledged(message.received);
        if (message.payload.length > 0) this.#host.payload(this, message.payload);
        break;
      case "data":
        if (message.payload.length > this.#host.settings.maxPayload)
          this.#broke(`a message of ${message.payload.length} bytes`);
        else this.#offended(this.#deliver().data(message.sequence, message.payload));
        break;
      case "acknowledgement":
        this.#acknowledged(message.received);
        break;
      case "bye":
        this.#byeReceived(message.reason, message.text);
        break;
      default:
        // Over datagrams, one that was sent again because our answer was late.
        if (this.#wire.reliable) this.#broke("a second hello");
    }
  }

  onRead(): void {
    this.#delivery?.acknowledge();
  }

  onDrain(): void {
    // The peer has taken what waited for it: a slow one lives.
    this.#engine?.heard(this.#host.agenda.nowMs);
    this.#delivery?.drained();
  }

  onProtocolError(problem: Error): void {
    this.#broke(problem.message);
  }

  #beaten(beat: Beat): void {
    const { nowMs } = this.#host.agenda;
    const { beatEveryMs } = this.#host.settings;
    this.#announced(beat.sendEveryMs);
    this.#acknowledged(beat.received);
    if (this.#paidMs - nowMs > beatBurst * beatEveryMs) {
      if (++this.#excess > excessBeats)
        this.#part("too-many-beats", "too many beats", { closedBy: "policy", policy: "too many beats" });
      return;
    }
    this.#paidMs = Math.max(nowMs, this.#paidMs) + beatEveryMs;
    if (this.#wire === null) return;
    if (beat.payload.length > 0) this.#host.payload(this, beat.payload);
    if (this.#wire === null || this.#wire.crowded) return;
    this.#wire.send({
      type: "answer",
      number: beat.number,
      sendEveryMs: 0,
      received: this.#delivery?.toldReceived() ?? 0,
      payload: this.#host.answer(this),
    });
    this.#engine?.sent(nowMs);
  }

  #acknowledged(received: number): void {
    if (this.#delivery !== null) this.#offended(this.#delivery.acknowledged(received));
    else if (received > 0) this.#broke(`an acknowledgement of ${received}, which was never sent`);
  }

  #announced(sendEveryMs: number): void {
    if (sendEveryMs === this.#peerSendsEveryMs) return;
    const { maxSilenceMs } = this.#host.settings;
    if (sendEveryMs > maxSilenceMs) {
      this.#part("no-agreement", `an interval of ${sendEveryMs} ms is longer than ${maxSilenceMs} ms`, {
        closedBy: "policy",
        policy: "an interval that is too long",
      });
      return;
    }
    this.#peerSendsEveryMs = sendEveryMs;
    this.#engine?.adopt(this.#settings());
    this.#schedule();
  }

  #byeReceived(reason: ByeReason, text: string): void {
    const wire = this.#wire;
    if (wire === null) return;
    this.gone(judge(this.#evidence({ peerFin: true })));
    this.#host.linger(wire);
    if (reason === "done") this.end("bye", text);
  }

  #offended(offence: Offence | null): void {
    if (offence === null) return;
    if (offence.by === "peer") this.#broke(offence.text);
    else if (this.#wire !== null)
      this.#part("evicted", offence.text, { closedBy: "policy", policy: offence.text });
  }

  #broke(text: string): void {
    if (this.#wire !== null)
      this.#part("protocol-error", text, { closedBy: "policy", policy: `it broke the protocol: ${text}` });
  }

  // Time.

  /** On the agenda: a look at a client that is here, or the end of waiting for one that is not. */
  due(nowMs: number): void {
    if (this.#state === "away") {
      this.end("expired");
      return;
    }
    const engine = this.#engine;
    if (engine === null) return;
    if (this.#progressed?.() === true) engine.heard(nowMs);
    for (
      let action = engine.check(nowMs);
      action !== null && this.#engine === engine;
      action = engine.check(nowMs)
    )
      if (action === "beat") this.#beat();
      else if (action === "suspect") this.#host.suspect(this);
      else this.#dead(nowMs);
    if (engine.state === "alive") this.#progressed = null;
    this.#schedule();
  }

  stoodStill(nowMs: number, lateMs: number): void {
    this.#standstill = { lateMs, wokeMs: nowMs };
    this.#engine?.stoodStill(nowMs);
    if (this.#state === "away") this.#host.agenda.set(this, nowMs + this.#host.settings.graceMs);
    else this.#schedule();
  }

  /** For how long this side stood still since the client was last heard. */
  #pausedMs(): number | null {
    const paused = this.#standstill;
    return paused !== null && paused.wokeMs >= (this.#engine?.heardMs ?? 0) ? paused.lateMs : null;
  }

  #beat(): void {
    const socket = this.#wire?.socket ?? null;
    if (socket !== null && this.#progressed === null) {
      this.#progressed = progressOf(socket);
      this.#progressed();
    }
    this.#beats = this.#beats === 0xffffffff ? 1 : this.#beats + 1;
    this.#wire?.send({
      type: "beat",
      number: this.#beats,
      sendEveryMs: 0,
      received: this.#delivery?.toldReceived() ?? 0,
      payload: this.#host.answer(this),
    });
  }

  #dead(nowMs: number): void {
    const engine = this.#engine as HeartbeatEngine;
    const wire = this.#wire;
    const silentMs = nowMs - engine.heardMs;
    const socket = wire?.socket ?? null;
    const figures = socket === null ? null : figuresOf(baseFd(socket));
    const verdict = judge({
      ...this.#evidence({}),
      heartbeat: { missed: engine.unanswered, lastAnswerMs: silentMs },
      figures,
      // The program was heard when the engine says, its host when the figures do.
      lastHeardMs: figures === null ? silentMs : null,
      timer: "heartbeat",
      selfPausedMs: this.#pausedMs(),
    });
    // A network that is one-way only may still carry it.
    if (wire?.socket == null) wire?.send({ type: "bye", reason: "given-up", text: "" });
    this.gone(verdict);
    wire?.destroy();
  }

  #settings(): BeatSettings {
    return this.#host.beatsFor(this.#peerSendsEveryMs);
  }

  /** What came meanwhile has only moved the next look away: it is set for good when it comes. */
  #schedule(): void {
    if (this.#engine !== null && this.#place === null) this.#host.agenda.set(this, this.#engine.nextMs());
  }

  // The end of a connection, and of the session.

  /** A stream's socket is being destroyed; `wire` is the one it carried. */
  streamEnded(wire: Wire, socket: Socket, error: Error | null): void {
    if (this.#wire !== wire) return;
    const age = this.#host.agenda.nowMs - this.#sinceMs;
    const evidence = gatherEvidence(socket, error, {
      at: this.#host.settings.clock.now(),
      elapsed: { wallMs: age, monotonicMs: Math.round(age) },
      connecting: false,
      peerEndedFirst: socket.readableEnded,
      settings: { keepalive: null, userTimeoutMs: 0 },
    });
    this.gone(judge({ ...evidence, selfPausedMs: this.#pausedMs() ?? evidence.selfPausedMs ?? null }));
  }

  /** The client is not here any more. */
  gone(verdict: Verdict): void {
    if (this.#state !== "present") return;
    this.#state = "away";
    this.#remote = this.remote;
    this.#wire = null;
    this.#engine = null;
    this.#progressed = null;
    this.#delivery?.detach();
    this.#sinceMs = this.#host.agenda.nowMs;
    this.#host.agenda.set(this, this.#sinceMs + this.#host.settings.graceMs);
    this.#host.offline(this, verdict);
  }

  /**
   * Says goodbye and lets go of the connection.
   *
   * @param evidence of its end; null: nothing has ended, the client goes on over another one.
   */
  #part(reason: ByeReason, text: string, evidence: Partial<Evidence> | null): void {
    if (this.#wire === null && this.#place === null) return;
    this.#askLot();
    const verdict = evidence === null ? null : judge(this.#evidence(evidence));
    this.#remote = this.remote;
    this.#takeLeave(reason, text);
    if (verdict !== null) this.gone(verdict);
    else {
      this.#delivery?.detach();
      this.#engine = null;
    }
  }

  /** How the connection has ended already, if it has: this side need not have come to reading it. */
  #unreadEnd(): Partial<Evidence> | null {
    const socket = this.#wire?.socket ?? null;
    if (socket !== null) return unreadEnd(baseFd(socket));
    return this.#place === null ? null : unreadEnd(this.#place.shift.fd(this.#place.slot));
  }

  #takeLeave(reason: ByeReason, text: string): void {
    const wire = this.#wire;
    const place = this.#place;
    const last = { type: "bye", reason, text } as const;
    this.#wire = null;
    this.#place = null;
    if (wire !== null) this.#host.linger(wire, () => wire.send(last));
    if (place !== null) this.#host.farewell(place, last);
  }

  // The lot.

  get parked(): boolean {
    return this.#place !== null;
  }

  /** It is connected over this wire, and has needed nothing but answers to beats since then. */
  isQuiet(wire: Wire, sinceMs: number): boolean {
    if (this.#wire !== wire || this.#busyMs > sinceMs || !this.#host.plainAnswers()) return false;
    return this.queued === 0 && this.#engine?.patienceMs() != null;
  }

  /**
   * Gives a quiet session's connection to the lot, which then answers its beats.
   *
   * @returns false: there is no room.
   */
  park(lot: Lot, fd: number): boolean {
    return this.#moveInto((terms) => lot.park(fd, this, terms));
  }

  /** A connection that the lot has accepted, and has just greeted over this wire. @returns false: it needs a socket. */
  staysInLot(wire: Wire, place: Place): boolean {
    if (!this.isQuiet(wire, Number.POSITIVE_INFINITY)) return false;
    return this.#moveInto((terms) => (place.shift.keep(place.slot, this, terms) ? place : null));
  }

  /** Its connection has a socket from now on. */
  goOn(wire: StreamWire): void {
    this.#wire = wire;
    this.#delivery?.goOn(wire);
  }

  #moveInto(take: (terms: Terms) => Place | null): boolean {
    const engine = this.#engine;
    const patienceMs = engine?.patienceMs() ?? null;
    if (engine === null || patienceMs === null) return false;
    const place = take({
      heardMs: engine.heardMs,
      paidMs: this.#paidMs,
      patienceMs,
      sendEveryMs: this.#peerSendsEveryMs,
      received: this.received,
      acknowledged: this.given,
    });
    if (place === null) return false;
    this.#remote = this.#wire?.socket == null ? this.#remote : this.remote;
    this.#wire = null;
    this.#place = place;
    this.#progressed = null;
    this.#delivery?.detach();
    this.#host.agenda.rest(this);
    return true;
  }

  /** Fetches it from the lot, if it is there. */
  recall(): void {
    this.#place?.shift.recall(this.#place.slot);
  }

  handedBack(back: HandedBack): void {
    this.#remote = this.remote;
    this.#place = null;
    this.#paidMs = back.paidMs;
    this.#engine?.heard(back.heardMs);
    this.#busyMs = this.#host.agenda.nowMs;
    if (back.fd === null) {
      // Somebody in this process has closed it.
      this.gone(judge(this.#evidence({ closedBy: "program" })));
      return;
    }
    const wire = this.#host.unpark(back.fd, this);
    this.#wire = wire;
    this.#schedule();
    // The rest of an answer goes before everything else.
    if (back.unsent !== null) wire.socket.write(back.unsent);
    if (back.failed !== null) {
      wire.socket.destroy(transferError(back.failed));
      return;
    }
    this.#delivery?.attach(wire, {
      received: this.#delivery.outbox.acknowledged,
      maxPayload: this.#peerMaxPayload,
    });
    if (back.bytes !== null) wire.push(Buffer.from(back.bytes.buffer));
  }

  /** While it is parked, the lot knows when its client was last heard. */
  #askLot(): void {
    if (this.#place !== null) this.#engine?.heard(this.#place.shift.heardMs(this.#place.slot));
  }

  /** The server closes: whoever is here is told. */
  shutDown(): void {
    this.#part("shutdown", "the server shuts down", { closedBy: "program" });
  }

  /** The server has closed, and another process will go on with the session: this one has no part in it any more. */
  abandon(): void {
    this.#state = "ended";
    this.#host.agenda.leave(this);
    this.#delivery?.detach();
  }

  end(why: SessionEnd, text = ""): void {
    if (this.#state === "ended") return;
    if (this.#state === "present") this.gone(judge(this.#evidence({ closedBy: "program" })));
    this.#state = "ended";
    this.#host.agenda.leave(this);
    this.#delivery?.detach();
    this.#host.ended(this, why, text);
  }

  #evidence(known: Partial<Evidence>): Evidence {
    const { clock } = this.#host.settings;
    return {
      at: clock.now(),
      ageMs: clock.monotonic() - this.#sinceMs,
      ...(this.#engine === null ? {} : { lastHeardMs: clock.monotonic() - this.#engine.heardMs }),
      ...known,
    };
  }

  #deliver(): Delivery {
    if (this.#delivery !== null) return this.#delivery;
    const delivery = this.#newDelivery(null);
    this.#delivery = delivery;
    if (this.#wire !== null) delivery.attach(this.#wire, { received: 0, maxPayload: this.#peerMaxPayload });
    return delivery;
  }

  #newDelivery(kept: KeptSession | null): Delivery {
    const journal: SessionJournal | null = this.#host.journal(this.id);
    return new Delivery({
      clock: this.#host.settings.clock,
      bounds: this.#host.settings.bounds,
      journal,
      ...(kept === null ? {} : { kept }),
      onData: (payload, sequence) => this.#host.data(this, payload, sequence),
      onDropped: (payload) => this.#host.dropped(this, payload),
    });
  }
}
