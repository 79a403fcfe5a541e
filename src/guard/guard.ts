import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { DeadpeerError } from "../errors.js";
import type { Settings } from "../plan/settings.js";
import { judge, type Verdict } from "../verdict/verdict.js";
import { type Applied, applySettings, isSettable } from "./apply.js";
import { type GuardClock, systemClock } from "./clock.js";
import { gatherEvidence } from "./gather.js";
import { innerSocket } from "./inner-socket.js";
import { settingsFrom, type Wanted } from "./settings.js";
import { type GuardSnapshot, takeSnapshot } from "./snapshot.js";

export interface GuardOptions {
  /** Ends the guard, as `close()` does. */
  readonly signal?: AbortSignal;
  /** Default: the system's clocks. */
  readonly clock?: GuardClock;
}

export interface GuardEvents {
  /** Once, when the socket has ended, before its own 'error' and 'close'. */
  verdict: [verdict: Verdict];
  /** The settings could not be given to a socket that connected later. Without a listener it is thrown, as by every emitter. */
  error: [error: DeadpeerError];
}

/** Watches one socket; made by `guard`. */
export class Guard extends EventEmitter<GuardEvents> implements Disposable {
  readonly #socket: Socket;
  readonly #clock: GuardClock;
  readonly #startedAt: number;
  readonly #startedMonotonic: number;
  readonly #release: () => void;
  #settings: Settings;
  #applied: Applied | null = null;
  #handle: unknown = null;
  #connecting: boolean;
  #peerEndedFirst = false;
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
    this.#release = this.#attach(signal);
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
   * Listens where nothing is disturbed by it: 'end' does not make data flow, and _destroy, Node's documented extension point for
   * streams, is the last moment at which the descriptor is open. Returns what undoes all of it.
   */
  #attach(signal: AbortSignal | undefined): () => void {
    const socket = this.#socket as Socket & { [guardOf]?: Guard };
    const ownDestroy = Object.getOwnPropertyDescriptor(socket, "_destroy");
    const destroy = socket._destroy.bind(socket);
    const guardedDestroy = (error: Error | null, done: (error?: Error | null) => void): void => {
      this.#conclude(error);
      destroy(error, done);
    };
    const onEnd = (): void => {
      this.#peerEndedFirst = !socket.writableEnded;
    };
    const onConnect = (): void => {
      this.#connecting = false;
      this.#applyLater();
    };
    // Emitted just before the descriptor is made.
    const onAttempt = (): void => process.nextTick(() => this.#applyLater());
    const waits = this.#connecting;
    const abort = (): void => this.close();

    Object.defineProperty(socket, guardOf, { value: this, configurable: true });
    socket._destroy = guardedDestroy;
    // First in line, for other listeners may answer with end().
    socket.prependListener("end", onEnd);
    if (waits) {
      socket.on("connectionAttempt", onAttempt);
      socket.prependListener("connect", onConnect);
    }
    signal?.addEventListener("abort", abort);

    return () => {
      signal?.removeEventListener("abort", abort);
      if (waits) {
        socket.off("connectionAttempt", onAttempt);
        socket.off("connect", onConnect);
      }
      socket.off("end", onEnd);
      if (socket[guardOf] === this) delete socket[guardOf];
      // Somebody may have put a layer of their own on top; then ours stays in between and only passes on.
      if (socket._destroy !== guardedDestroy) return;
      if (ownDestroy !== undefined) Object.defineProperty(socket, "_destroy", ownDestroy);
      else delete (socket as Partial<Pick<Socket, "_destroy">>)._destroy;
    };
  }

  #conclude(error: Error | null): void {
    if (this.#closed) return;
    const at = this.#clock.now();
    const verdict = judge(
      gatherEvidence(this.#socket, error, {
        at,
        elapsed: {
          wallMs: at - this.#startedAt,
          monotonicMs: this.#clock.monotonic() - this.#startedMonotonic,
        },
        connecting: this.#connecting,
        peerEndedFirst: this.#peerEndedFirst,
        settings: this.#applied?.settings ?? this.#settings,
      }),
    );
    this.#verdict = verdict;
    this.close();
    // The socket's own 'error' and 'close' are queued after this.
    process.nextTick(() => this.emit("verdict", verdict));
  }
}

/** Where a socket keeps its guard, so that guarding it again finds it. */
const guardOf = Symbol("deadpeer guard");

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
 * Guarding a socket again changes its settings and returns the guard it has.
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
  const socket = innerSocket(given) as Socket & { readonly [guardOf]?: Guard };
  const present = socket[guardOf];
  if (present?.active !== true) return new Guard(socket, settingsFrom(wanted), options);
  present.change(wanted);
  return present;
}
