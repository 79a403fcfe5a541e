import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { DeadpeerError } from "../errors.js";
import { systemClock } from "../kernel/clock.js";
import type { Settings } from "../plan/settings.js";
import type { Clock } from "../time/clock.js";
import type { HeartbeatEvidence } from "../verdict/evidence.js";
import { judge, type Verdict } from "../verdict/verdict.js";
import { type Applied, applySettings, isSettable } from "./apply.js";
import { closeOnAbort, forgetOnAbort } from "./closing.js";
import { gatherEvidence } from "./gather.js";
import { innerSocket } from "./inner-socket.js";
import { settingsFrom, type Wanted } from "./settings.js";
import { type GuardSnapshot, takeSnapshot } from "./snapshot.js";

export interface GuardOptions {
  /** Ends the guard, as `close()` does. */
  readonly signal?: AbortSignal;
  /** Default: the system's clocks. */
  readonly clock?: Clock;
}

export interface GuardEvents {
  /** Once, when the socket has ended, before its own 'error' and 'close'. */
  verdict: [verdict: Verdict];
  /** The settings could not be given to a socket that connected later. Without a listener it is thrown, as by every emitter. */
  error: [error: DeadpeerError];
}

/** Where a socket keeps its guard, so that its events and a second guard() find it. */
const guardOf = Symbol("deadpeer guard");

type GuardedSocket = Socket & { [guardOf]?: Guard };
type Destroy = Socket["_destroy"];

// The listeners, one function each for all guards, so that a connection more costs little. Guard assigns them, for they touch
// its private fields.
let onEnd: (this: GuardedSocket) => void;
let onAttempt: (this: GuardedSocket) => void;
let onConnect: (this: GuardedSocket) => void;

/** Watches one socket; made by `guard`. */
export class Guard extends EventEmitter<GuardEvents> implements Disposable {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #startedMonotonic: number;
  readonly #ownDestroy: PropertyDescriptor | undefined;
  readonly #guardedDestroy: Destroy;
  #signals: readonly AbortSignal[] = [];
  #settings: Settings;
  #applied: Applied | null = null;
  #handle: unknown = null;
  #connecting: boolean;
  #peerEndedFirst = false;
  #heartbeat: HeartbeatEvidence | null = null;
  #closed = false;
  #verdict: Verdict | null = null;

  /** Use `guard`, which finds the socket inside things and gives each socket one guard. */
  constructor(socket: Socket, settings: Settings, { signal, clock = systemClock }: GuardOptions) {
    super();
    this.#socket = socket;
    this.#settings = settings;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.#startedMonotonic = clock.monotonic();
    this.#connecting = socket.pending;
    // Before anything is attached: what this throws must leave the socket as it was.
    if (isSettable(socket)) this.#apply();
    if (signal !== undefined) this.closeOn(signal);

    this.#ownDestroy = Object.getOwnPropertyDescriptor(socket, "_destroy");
    this.#guardedDestroy = this.#wrapDestroy();
    Object.defineProperty(socket, guardOf, { value: this, configurable: true });
    socket._destroy = this.#guardedDestroy;
    // First in line, for other listeners may answer with end().
    socket.prependListener("end", onEnd);
    if (this.#connecting) {
      socket.on("connectionAttempt", onAttempt);
      socket.prependListener("connect", onConnect);
    }
  }

  /** What was done with the settings; null until the socket has a descriptor to set them on. */
  get applied(): Applied | null {
    return this.#applied;
  }

  /** The verdict, once it is known. */
  get verdict(): Verdict | null {
    return this.#verdict;
  }

  /** False once the socket has ended or the guard was closed. */
  get active(): boolean {
    return !this.#closed;
  }

  /**
   * What the connection is doing now and how long a dead peer would go unnoticed, as the kernel holds it at this moment. null
   * once the guard has ended.
   *
   * @example g.snapshot()?.detection.nowMs // 35000
   */
  snapshot(): GuardSnapshot | null {
    return this.#closed ? null : takeSnapshot(this.#socket, this.#applied?.settings ?? this.#settings);
  }

  /** Gives the socket other settings; `guard` on a guarded socket ends up here. Throws as `guard` does. */
  change(wanted: Wanted): void {
    const before = this.#settings;
    this.#settings = settingsFrom(wanted);
    if (this.#closed || !isSettable(this.#socket)) return;
    try {
      this.#apply();
    } catch (error) {
      this.#settings = before;
      throw error;
    }
  }

  /** Takes note that the peer left beats unanswered, for which its socket is going to be destroyed now. */
  blame(heartbeat: HeartbeatEvidence): void {
    this.#heartbeat = heartbeat;
  }

  /** Closes the guard when the signal fires; every signal it was given counts. */
  closeOn(signal: AbortSignal): void {
    if (this.#closed || this.#signals.includes(signal)) return;
    this.#signals = [...this.#signals, signal];
    closeOnAbort(signal, this);
  }

  /** Lets go of the socket, which keeps its settings and lives on; no verdict follows. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #apply(): void {
    // Noted first: what this handle has refused once, it is not asked again when it connects.
    this.#handle = handleOf(this.#socket);
    this.#applied = applySettings(this.#socket, this.#settings);
  }

  /** For a socket that has its descriptor only later; each attempt to connect may be a new one. */
  #applyLater(): void {
    if (this.#closed || !isSettable(this.#socket) || handleOf(this.#socket) === this.#handle) return;
    try {
      this.#apply();
    } catch (error) {
      // Not from within the socket's own event: the other listeners must get theirs.
      process.nextTick(() => this.emit("error", error as DeadpeerError));
    }
  }

  /**
   * _destroy is Node's documented extension point for streams, and the last moment at which the descriptor is open. A function
   * for each guard, for somebody may put a layer on top: then this one stays in between after the guard has closed.
   */
  #wrapDestroy(): Destroy {
    const socket = this.#socket;
    const below = this.#ownDestroy?.value as Destroy | undefined;
    return (error, done) => {
      this.#conclude(error);
      if (below !== undefined) below.call(socket, error, done);
      else (Object.getPrototypeOf(socket) as Socket)._destroy.call(socket, error, done);
    };
  }

  #release(): void {
    const socket = this.#socket as GuardedSocket;
    for (const signal of this.#signals) forgetOnAbort(signal, this);
    socket.off("end", onEnd);
    socket.off("connectionAttempt", onAttempt);
    socket.off("connect", onConnect);
    delete socket[guardOf];
    if (socket._destroy !== this.#guardedDestroy) return;
    if (this.#ownDestroy !== undefined) Object.defineProperty(socket, "_destroy", this.#ownDestroy);
    else delete (socket as Partial<Pick<Socket, "_destroy">>)._destroy;
  }

  static {
    onEnd = function () {
      const guarded = this[guardOf];
      if (guarded !== undefined) guarded.#peerEndedFirst = !this.writableEnded;
    };
    onAttempt = function () {
      const guarded = this[guardOf];
      // The descriptor is made right after this event.
      if (guarded !== undefined) process.nextTick(() => guarded.#applyLater());
    };
    onConnect = function () {
      const guarded = this[guardOf];
      if (guarded === undefined) return;
      guarded.#connecting = false;
      guarded.#applyLater();
    };
  }

  #conclude(error: Error | null): void {
    if (this.#closed) return;
    const at = this.#clock.now();
    const verdict = judge({
      heartbeat: this.#heartbeat,
      ...gatherEvidence(this.#socket, error, {
        at,
        elapsed: {
          wallMs: at - this.#startedAt,
          monotonicMs: Math.round(this.#clock.monotonic() - this.#startedMonotonic),
        },
        connecting: this.#connecting,
        peerEndedFirst: this.#peerEndedFirst,
        settings: this.#applied?.settings ?? this.#settings,
      }),
    });
    this.#verdict = verdict;
    this.close();
    // The socket's own 'error' and 'close' are queued after this.
    process.nextTick(() => this.emit("verdict", verdict));
  }
}

/** The guard of a socket, if it has one. */
export function guardOn(socket: Socket): Guard | null {
  return (socket as GuardedSocket)[guardOf] ?? null;
}

function handleOf(socket: Socket): unknown {
  return (socket as unknown as { readonly _handle: unknown })._handle;
}

/**
 * Guards a connection: gives it the settings under which a dead peer is noticed, and says in the end what became of it.
 * Takes a net.Socket, a tls.TLSSocket, or anything with one inside (ws, http messages, http2 sessions, streams of database
 * clients), connected or not; settings reach a socket that is not connected as soon as it has a descriptor. Adds no timer and no
 * wake-up, and changes nothing else about the socket.
 *
 * Off Linux, and without koffi, it sets what Node itself can; `applied.missing` says what could not be set.
 *
 * Guarding a socket again changes its settings and returns the guard it has; a signal given then ends it as well.
 *
 * @param wanted a plan, what to plan for, or settings; plan once for many sockets.
 * @throws DeadpeerError `no-socket`, `value-refused` if the kernel refuses or does not keep a setting, `feature-missing`,
 *   `aborted` if the signal already is; what planDetection throws.
 * @example
 * const g = guard(socket, { detectWithin: "35s" });
 * g.on("verdict", (v) => log(v.state, v.sentence));
 */
export function guard(given: unknown, wanted: Wanted, options: GuardOptions = {}): Guard {
  if (options.signal?.aborted === true)
    throw new DeadpeerError("aborted", "guard: the signal was already aborted");
  const socket = innerSocket(given);
  const present = (socket as GuardedSocket)[guardOf];
  if (present === undefined) return new Guard(socket, settingsFrom(wanted), options);
  present.change(wanted);
  if (options.signal !== undefined) present.closeOn(options.signal);
  return present;
}
