import type { TcpState } from "../../kernel/tcp-states.js";
import type { Ends } from "./ends.js";
import type { ErrorReport, ResetReceived, ResetSent, StateChange, Task, TraceEvent } from "./trace-events.js";

/** The end of one connection, as the kernel's events tell it. More may become known of it for a moment after its end. */
export interface Death extends Ends {
  /** CLOCK_MONOTONIC, as all times of events. */
  readonly atNs: number;
  readonly socket: number;
  /** The state before the end. */
  readonly from: TcpState;
  /** When it began, with its SYN or, at the side that was connected to, when it was established; null: before we looked. */
  readonly bornNs: number | null;
  /** Which side began it; null: before we looked. */
  readonly outgoing: boolean | null;
  /** The thread that called connect(). */
  readonly connectedBy: number | null;
  /** The peer's FIN came, and before ours was sent. */
  readonly peerFin: boolean;
  /** When our FIN was acknowledged, where the peer's had not come. */
  readonly finWait2Ns: number | null;
  readonly resetReceived: boolean;
  /** A timer sent an RST and gave up: only keepalive's does (tcp_keepalive_timer). */
  readonly keepaliveTimeout: boolean;
  /** Who closed it on this side, by a call of its own, as far as that came first. */
  readonly closedBy: Closer | null;
  /** The error the program is given, by name; null: none, or the kernel does not say. */
  errno: string | null;
  /** The program let go of it, or aborted it: by whom. */
  letGoBy: Closer | null;
  /** When its socket was freed: what the kernel's last word on it counts from. */
  destroyedNs: number | null;
  cookie: number | null;
}

export interface Closer {
  readonly tid: number;
  /** Not the program closed it: it ended, and the kernel closed what it held. */
  readonly exited: boolean;
}

/** What has been seen of a socket that lives. */
interface Life {
  bornNs: number | null;
  outgoing: boolean | null;
  connectedBy: number | null;
  peerFinNs: number | null;
  ownFinNs: number | null;
  finWait2Ns: number | null;
  closedBy: Closer | null;
  resetReceived: boolean;
  keepaliveTimeout: boolean;
  cookie: number | null;
}

/** An error is reported right before the end of the connection or, since Linux 6.10, right after: in the same call of the kernel. */
const sameCallNs = 10_000_000;

/** How long the number of a thread that has ended is remembered: what it held is closed at once, and others may wait for that. */
const exitMemoryNs = 10_000_000_000;

/** Beyond this many, lives are those of sockets whose ends were lost. */
const mostLives = 1_000_000;

/**
 * Puts the kernel's events together to the ends of connections: one for each that was ever begun, at the moment its socket goes to
 * CLOSE. What then stays behind in TIME_WAIT is no connection any more (the kernel replaces the socket, tcp_time_wait).
 *
 * Pure: events in the order of time come in, deaths go out.
 *
 * @example for (const event of events) { const death = finder.take(event); if (death !== null) bury(death); }
 */
export class DeathFinder {
  readonly #lives = new Map<number, Life>();
  /** Deaths of which more may be heard, by socket and by ends; `settle` ends that. */
  readonly #bySocket = new Map<number, Death>();
  readonly #byEnds = new Map<string, Death>();
  readonly #errors = new Map<string, ErrorReport>();
  readonly #exited = new Map<number, number>();

  /** @returns the death that the event is, or completes nothing: null. */
  take(event: TraceEvent): Death | null {
    switch (event.kind) {
      case "state":
        return this.#changeState(event);
      case "error":
        this.#report(event);
        return null;
      case "reset-received":
        this.#receiveReset(event);
        return null;
      case "reset-sent":
        this.#sendReset(event);
        return null;
      case "destroyed": {
        const death = this.#bySocket.get(event.socket);
        this.#lives.delete(event.socket);
        if (death === undefined) return null;
        death.destroyedNs ??= event.timeNs;
        death.cookie ??= event.cookie;
        death.letGoBy ??= this.#closer(event);
        return null;
      }
      default:
        this.#exited.set(event.tid, event.timeNs);
        return null;
    }
  }

  /** Nothing more is expected of a death. */
  settle(death: Death): void {
    if (this.#bySocket.get(death.socket) === death) this.#bySocket.delete(death.socket);
    if (this.#byEnds.get(death.key) === death) this.#byEnds.delete(death.key);
  }

  /** Forgets what cannot matter any more. */
  forget(nowNs: number): void {
    for (const [key, { timeNs }] of this.#errors) {
      if (timeNs > nowNs - sameCallNs) break;
      this.#errors.delete(key);
    }
    for (const [tid, timeNs] of this.#exited) {
      if (timeNs > nowNs - exitMemoryNs) break;
      this.#exited.delete(tid);
    }
    for (const socket of this.#lives.keys()) {
      if (this.#lives.size <= mostLives) break;
      this.#lives.delete(socket);
    }
  }

  #changeState(event: StateChange): Death | null {
    const { socket, timeNs } = event;
    switch (event.to) {
      case "SYN_SENT":
        this.#lives.set(socket, {
          ...newLife(),
          bornNs: timeNs,
          outgoing: true,
          connectedBy: event.itself ? event.tid : null,
        });
        return null;
      case "ESTABLISHED":
        if (event.from === "SYN_RECV" && this.#lives.get(socket)?.outgoing !== true)
          this.#lives.set(socket, { ...newLife(), bornNs: timeNs, outgoing: false });
        return null;
      case "CLOSE_WAIT":
      case "CLOSING":
        this.#life(socket).peerFinNs ??= timeNs;
        return null;
      case "FIN_WAIT1":
      case "LAST_ACK": {
        const life = this.#life(socket);
        life.ownFinNs ??= timeNs;
        life.closedBy ??= this.#closer(event);
        return null;
      }
      case "FIN_WAIT2":
        this.#life(socket).finWait2Ns = timeNs;
        return null;
      case "CLOSE":
        return this.#end(event);
      default:
        return null;
    }
  }

  #end(event: StateChange): Death | null {
    const { socket, from, timeNs, ends } = event;
    const life = this.#lives.get(socket) ?? newLife();
    this.#lives.delete(socket);
    if (from === "LISTEN" || from === "CLOSE" || ends === null) return null;
    const error = this.#errors.get(ends.key);
    this.#errors.delete(ends.key);
    // Not spread: of many thousand a second, that would take most of the time.
    const death: Death = {
      local: ends.local,
      remote: ends.remote,
      key: ends.key,
      atNs: timeNs,
      socket,
      from,
      bornNs: life.bornNs,
      outgoing: life.outgoing,
      connectedBy: life.connectedBy,
      // Those that were there before we looked went through these states unseen.
      peerFin:
        life.peerFinNs !== null
          ? life.ownFinNs === null || life.peerFinNs < life.ownFinNs
          : peerWasFirst(from),
      finWait2Ns: life.finWait2Ns,
      resetReceived: life.resetReceived,
      keepaliveTimeout: life.keepaliveTimeout,
      closedBy: life.closedBy ?? this.#closer(event),
      errno: error !== undefined && timeNs - error.timeNs < sameCallNs ? error.errno : null,
      letGoBy: null,
      destroyedNs: null,
      cookie: life.cookie,
    };
    this.#bySocket.set(socket, death);
    this.#byEnds.set(death.key, death);
    return death;
  }

  #report(event: ErrorReport): void {
    const death = this.#byEnds.get(event.ends.key);
    if (death !== undefined && death.errno === null && event.timeNs - death.atNs < sameCallNs)
      death.errno = event.errno;
    else {
      // At the end of the map, which is in the order of time.
      this.#errors.delete(event.ends.key);
      this.#errors.set(event.ends.key, event);
    }
  }

  #receiveReset({ socket, cookie }: ResetReceived): void {
    const life = this.#life(socket);
    life.resetReceived = true;
    life.cookie = cookie;
  }

  #sendReset(event: ResetSent): void {
    const death = this.#bySocket.get(event.socket);
    if (death !== undefined) death.letGoBy ??= this.#closer(event);
    else if (!event.itself && (event.reason === null || keepaliveReasons.has(event.reason)))
      this.#life(event.socket).keepaliveTimeout = true;
  }

  #closer(task: Task): Closer | null {
    return task.itself ? { tid: task.tid, exited: this.#exited.has(task.tid) } : null;
  }

  #life(socket: number): Life {
    let life = this.#lives.get(socket);
    if (life === undefined) {
      life = newLife();
      this.#lives.set(socket, life);
    }
    return life;
  }
}

/** One call of the kernel takes less. */
const oneCallNs = 100_000;

/**
 * Whether the peer's FIN has come by the end: the kernel counts it as a byte received. A socket that no program holds any more does
 * not wait for it: the kernel replaces it as soon as our own FIN is acknowledged (tcp_rcv_state_process). Should that very packet
 * bring the peer's, nothing tells.
 */
export function hadFin({ from, errno, atNs, finWait2Ns, destroyedNs, letGoBy }: Death): boolean {
  if (from !== "FIN_WAIT2") return from === "CLOSE_WAIT" || from === "LAST_ACK" || from === "CLOSING";
  const atOnce = finWait2Ns !== null && atNs - finWait2Ns < oneCallNs;
  const held = letGoBy !== null || destroyedNs === null || destroyedNs - atNs > oneCallNs;
  return errno === null && (held || !atOnce);
}

/**
 * SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT, include/net/rstreason.h; Linux 6.10 and 6.11 give no reason for it. The RSTs of other timers
 * are sent for sockets that no program holds any more.
 */
const keepaliveReasons: ReadonlySet<string> = new Set(["TCP_KEEPALIVE_TIMEOUT", "NOT_SPECIFIED"]);

function peerWasFirst(from: TcpState): boolean {
  return from === "CLOSE_WAIT" || from === "LAST_ACK";
}

function newLife(): Life {
  return {
    bornNs: null,
    outgoing: null,
    connectedBy: null,
    peerFinNs: null,
    ownFinNs: null,
    finWait2Ns: null,
    closedBy: null,
    resetReceived: false,
    keepaliveTimeout: false,
    cookie: null,
  };
}
