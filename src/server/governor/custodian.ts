import type { Socket } from "node:net";
import type { TimerClock } from "../../time/clock.js";
import { Agenda } from "../agenda.js";
import { assess, observe, type EvictionReason, type Sight } from "./assess.js";
import { Clients } from "./clients.js";
import { announceEnd, destroy, goingAway, sayGoodbye } from "./farewell.js";
import { Held, type Holder } from "./held.js";
import type { GovernorSettings } from "./policy.js";
import { closeSession } from "./shutdown-notice.js";
import { look } from "./sight.js";

export interface CustodianHost {
  /** A connection is looked at because its time has come. */
  looking(): void;
  /** A connection counts no more. */
  left(held: Held): void;
  /** There are no more connections. */
  emptied(): void;
  /** A connection is about to be ended by policy; its socket is still open. */
  evicting(held: Held, reason: EvictionReason, atOnce: boolean): void;
}

/** So long a connection that we have ended may take to end on its other side. */
const lingerMs = 2_000;
/**
 * A connection that is let go in order has to be quiet for a third of the time that there is, within these bounds, before it is ended:
 * a request may be on its way, and a proxy that goes on using it meanwhile learns with a response that it was the last.
 */
const leastQuietMs = 1_000;
const mostQuietMs = 5_000;
/** So much more than the timer came late is taken for a standstill, at most. */
const mostLeftOutMs = 60_000;
/** How finely the limits are met. With 4096 slots one turn of the wheel is nearly seven minutes. */
const tickMs = 100;

/** Holds all connections of a server, looks at each when its next limit may be over, and ends those that are past one. */
export class Custodian implements Holder {
  readonly all = new Set<Held>();
  readonly clients: Clients;
  readonly #settings: GovernorSettings;
  readonly #host: CustodianHost;
  readonly #clock: TimerClock;
  readonly agenda: Agenda;
  readonly #startMs: number;
  /** For how long this process stood still: nobody's time went on meanwhile. */
  #stoodMs = 0;
  #lookedMs: number;
  #lingering = 0;
  readonly #quietMs = new Map<EvictionReason, number>();
  /** Whether any connection was ever let go in order: requests have to be looked at from then on. */
  retiring = false;
  /** What WebSockets are closed with. */
  webSocketCode = goingAway;

  constructor(settings: GovernorSettings, host: CustodianHost, clock: TimerClock) {
    this.#settings = settings;
    this.#host = host;
    this.#clock = clock;
    this.#startMs = this.#lookedMs = clock.monotonic();
    this.clients = new Clients(settings.counts);
    this.agenda = new Agenda(clock, (lateMs) => this.#stoodStill(lateMs), { tickMs });
  }

  /** The governor's own clock. */
  get nowMs(): number {
    return Math.round(this.#clock.monotonic() - this.#startMs - this.#stoodMs);
  }

  /** Counts a connection from now on; it is to be looked at once the server has it. */
  take(socket: Socket, key: string | null, secure: boolean): Held {
    this.#lookedMs = this.#clock.monotonic();
    const { nowMs } = this;
    const held = new Held(socket, this, secure, nowMs);
    const { age } = this.#settings;
    if (age !== null) held.ageAtMs = nowMs + Math.round(age.afterMs * (1 - Math.random() * age.jitter));
    this.all.add(held);
    this.clients.enter(held, key, nowMs);
    this.agenda.enter(held);
    return held;
  }

  /** What it speaks has become known. */
  lookSoon(held: Held): void {
    this.#lookAgain(held, 0);
  }

  due(held: Held): void {
    this.#lookedMs = this.#clock.monotonic();
    this.#host.looking();
    if (held.leaving) destroy(held);
    else this.lookAt(held);
  }

  /** Holds a connection to its limits now, and again when the next may be over. */
  lookAt(held: Held): void {
    const { nowMs } = this;
    const sight = look(held);
    const outcome = assess(this.#settings.times, held, sight, nowMs);
    if (outcome === "age") this.retire(held, "age", this.#settings.age?.graceMs ?? 0);
    else if (typeof outcome === "string") this.#afterReading(held, () => this.#endIfDue(held));
    else if (held.retiring === null) this.#lookAgain(held, outcome - nowMs);
    else this.#lookAtRetiring(held, held.retiring, sight, outcome, nowMs);
  }

  /**
   * Lets a connection go in order: what is under way is finished, what is quiet is ended.
   *
   * @param withinMs what remains then is cut off.
   */
  retire(held: Held, reason: EvictionReason, withinMs: number): void {
    if (held.leaving) return;
    this.retiring = true;
    held.retiring = reason;
    held.ageAtMs = -1;
    held.leaveByMs = this.nowMs + withinMs;
    this.#quietMs.set(reason, Math.min(Math.max(leastQuietMs, withinMs / 3), mostQuietMs));
    this.announceEnd(held);
    this.lookAt(held);
  }

  announceEnd(held: Held): void {
    announceEnd(held, this.nowMs, this.webSocketCode);
  }

  /** Ends a connection, in order where its peer has deserved that. */
  evict(held: Held, reason: EvictionReason): void {
    if (held.leaving) return;
    this.#host.evicting(held, reason, false);
    this.#leave(held);
    if (this.#lingering > 64 + this.all.size / 8) {
      destroy(held);
      return;
    }
    if (!sayGoodbye(held, reason, this.webSocketCode)) return;
    this.#lingering++;
    held.lingering = true;
    const left = held.retiring === null ? lingerMs : Math.max(0, held.leaveByMs - this.nowMs);
    this.#lookAgain(held, held.session === null ? Math.min(left, lingerMs) : left);
  }

  /** Ends a connection at once, whatever is under way. */
  cutOff(held: Held, reason: EvictionReason): void {
    if (!held.leaving) {
      this.#host.evicting(held, reason, true);
      this.#leave(held);
    }
    destroy(held);
  }

  closed(held: Held): void {
    this.all.delete(held);
    this.agenda.leave(held);
    if (held.lingering) this.#lingering--;
    if (!held.leaving) this.#leave(held);
    if (this.all.size === 0) this.#host.emptied();
  }

  /** Lets go of all connections, which live on. */
  close(): void {
    this.agenda.close();
    for (const held of this.all) held.release();
    this.all.clear();
  }

  #lookAtRetiring(held: Held, reason: EvictionReason, sight: Sight, next: number, nowMs: number): void {
    if (nowMs >= held.leaveByMs) {
      this.cutOff(held, reason);
      return;
    }
    const { session } = held;
    const quietMs = this.#quietMs.get(reason) ?? leastQuietMs;
    const welcomeUntilMs = session?.welcomeUntilMs(quietMs, held.leaveByMs) ?? null;
    if (session !== null && welcomeUntilMs !== null && nowMs >= welcomeUntilMs) closeSession(session.session);
    const quietAtMs = held.progressMs + quietMs;
    if (sight.phase !== "request" && nowMs >= quietAtMs) this.#endIfStill(held, reason);
    else
      this.#lookAgain(held, Math.min(next, held.leaveByMs, Math.max(quietAtMs, nowMs + quietMs / 4)) - nowMs);
  }

  #leave(held: Held): void {
    held.leaving = true;
    this.#host.left(held);
    this.clients.leave(held, this.nowMs);
  }

  /** It is past a limit, unless something has come meanwhile. */
  #endIfDue(held: Held): void {
    const outcome = assess(this.#settings.times, held, look(held), this.nowMs);
    if (typeof outcome === "string" && outcome !== "age") this.evict(held, outcome);
    else this.lookAt(held);
  }

  #endIfStill(held: Held, reason: EvictionReason): void {
    const { progressMs } = held;
    this.#afterReading(held, () => {
      const sight = look(held);
      observe(held, sight, this.nowMs);
      if (sight.phase !== "request" && held.progressMs === progressMs) this.evict(held, reason);
      else this.lookAt(held);
    });
  }

  /** Timers come before the loop has read: what is here already, a request or the byte that was waited for, has to be seen first. */
  #afterReading(held: Held, then: () => void): void {
    setImmediate(() => {
      if (!held.leaving && this.all.has(held)) then();
    });
  }

  #lookAgain(held: Held, inMs: number): void {
    if (Number.isFinite(inMs)) this.agenda.set(held, this.agenda.nowMs + inMs);
    else this.agenda.rest(held);
  }

  /**
   * It is only known by how much the timer came late, not when the standstill began: at the earliest when something was last looked
   * at. All of that is left out, within reason. (While a machine slept, this clock stood still itself.)
   */
  #stoodStill(lateMs: number): void {
    const sinceMs = Math.max(0, this.#clock.monotonic() - this.#lookedMs);
    this.#stoodMs += Math.min(sinceMs, lateMs + mostLeftOutMs);
  }
}
