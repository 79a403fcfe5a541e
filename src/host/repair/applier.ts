import { setTimeout as sleep } from "node:timers/promises";
import { DeadpeerError } from "../../errors.js";
import { readSettings, writeSettings } from "../../kernel/socket-options.js";
import { peekTcpInfo } from "../../kernel/tcp-info.js";
import type { Borrower } from "../borrower.js";
import { marker } from "../policy/marker.js";
import { difference, type HeldSettings, heldOf, isSame } from "./held.js";
import { type HeldSocket, reach } from "./reach.js";
import { type Danger, dangerOf, meanwhile, momentOf, patienceMs, withheld } from "./transition.js";

/** A socket that is to come from one setting to another. */
export interface Change {
  readonly socket: HeldSocket;
  readonly from: HeldSettings;
  readonly to: HeldSettings;
  /** As it was when the change was written down. */
  readonly danger: Danger | null;
}

/**
 * How a change went. `withheld`: all but the user timeout, and the probes go on. `refused`: by the kernel; the socket is as it was.
 * `gone`: it ended meanwhile. `aborted`: it waited when the caller's signal fired, and is as it was.
 */
export interface Applied {
  readonly outcome: "changed" | "withheld" | "refused" | "gone" | "aborted";
  /** null unless there is more to say than the outcome does. */
  readonly reason: string | null;
  readonly holds: HeldSettings;
}

export type Told = (applied: Applied) => void;

interface Waiting extends Change {
  readonly holds: HeldSettings;
  readonly until: number;
  readonly tell: Told;
}

export interface SettleOptions {
  readonly signal?: AbortSignal;
  /** Called once if peers let us wait, with how many and for how long at most. */
  readonly onPatience?: (peers: number, forMs: number) => void;
}

/** An answer takes a round trip; those that come later are asked about less and less often. */
const firstPauseMs = 10;
const longestPauseMs = 250;
/** Looking may take this part of the time, however many are waited for. */
const share = 4;

/** Changes sockets, those in danger in two steps: what the peer must first answer for is set when it has. */
export class Applier {
  readonly #borrower: Borrower;
  #waiting: Waiting[] = [];

  constructor(borrower: Borrower) {
    this.#borrower = borrower;
  }

  /** @param fd of the socket, in this process. */
  start(fd: number, change: Change, tell: Told): void {
    const { from, to, danger } = change;
    const holds = danger === null ? to : meanwhile(danger, from, to);
    const reason = write(fd, from, holds);
    if (reason !== null) tell({ outcome: "refused", reason, holds: from });
    else if (danger === null) tell({ outcome: "changed", reason: null, holds });
    else this.#waiting.push({ ...change, holds, until: performance.now() + patienceMs(to), tell });
  }

  /** Waits for those that were in danger. When this returns, every change has been told of. */
  async settle({ signal, onPatience }: SettleOptions): Promise<void> {
    for (let pauseMs = firstPauseMs; this.#waiting.length > 0; ) {
      await sleep(pauseMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
      const startedAt = performance.now();
      const isAborted = signal?.aborted === true;
      this.#waiting = this.#waiting.filter((waiting) => !this.#isSettled(waiting, startedAt, isAborted));
      if (pauseMs < longestPauseMs && pauseMs * 2 >= longestPauseMs && this.#waiting.length > 0) {
        const latest = Math.max(...this.#waiting.map(({ until }) => until));
        onPatience?.(this.#waiting.length, latest - startedAt);
      }
      const tookMs = performance.now() - startedAt;
      pauseMs = Math.max(Math.min(longestPauseMs, pauseMs * 2), tookMs * share);
    }
  }

  #isSettled(waiting: Waiting, now: number, isAborted: boolean): boolean {
    const { socket, from, to, holds, until, tell } = waiting;
    const borrowed = reach(this.#borrower, socket);
    if (typeof borrowed === "string") {
      tell({ outcome: "gone", reason: null, holds });
      return true;
    }
    try {
      const danger = dangerOf(momentOf(peekTcpInfo(borrowed.fd)), from, to);
      if (danger !== null && !isAborted && now < until) return false;
      tell(finish(borrowed.fd, waiting, danger, isAborted));
      return true;
    } finally {
      borrowed.close();
    }
  }
}

function finish(
  fd: number,
  { from, to, holds }: Waiting,
  danger: Danger | null,
  isAborted: boolean,
): Applied {
  const goal = danger === null ? to : isAborted ? from : withheld(danger, from, to);
  const refusal = write(fd, holds, goal);
  if (refusal !== null) {
    putBack(fd, from);
    return { outcome: "refused", reason: refusal, holds: from };
  }
  if (danger === null || isSame(goal, to)) return { outcome: "changed", reason: null, holds: goal };
  return isAborted
    ? { outcome: "aborted", reason: null, holds: goal }
    : { outcome: "withheld", reason: reasons[danger], holds: goal };
}

const reasons: Readonly<Record<Danger, string>> = {
  silence: "its peer has not answered yet, so its user timeout waits: unanswered probes alone end it",
  window: "its peer keeps the window closed, so its user timeout waits: it would end a living peer",
};

/** @returns why not; the socket then is as it was. */
function write(fd: number, from: HeldSettings, to: HeldSettings): string | null {
  try {
    set(fd, from, to);
    return null;
  } catch (error) {
    if (!(error instanceof DeadpeerError)) throw error;
    putBack(fd, from);
    return error.message;
  }
}

function putBack(fd: number, settings: HeldSettings): void {
  try {
    set(fd, heldOf(readSettings(fd)), settings);
  } catch (error) {
    // Whoever refused the one may refuse the other: a program of somebody's at the cgroup. The first refusal is told.
    if (!(error instanceof DeadpeerError)) throw error;
  }
}

/** A policy of the socket's cgroup holds against what its program sets; who says which sockets are meant goes before it. */
function set(fd: number, from: HeldSettings, to: HeldSettings): void {
  writeSettings(fd, difference(from, to), marker);
}
