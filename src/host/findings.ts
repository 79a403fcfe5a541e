import type { Regime } from "../plan/model.js";
import { formatDuration } from "../plan/duration.js";
import { type ConnectionDetection, withinHost } from "./connection.js";
import type { SeenSettings } from "./seen-settings.js";
import type { SocketFacts } from "./socket-facts.js";

export type FindingCode =
  | "unacked-growing"
  | "zero-window"
  | "close-wait-stuck"
  | "time-wait-many"
  | "no-keepalive"
  | "idle-exceeds-path"
  | "slow-detection"
  | "no-user-timeout";

/** Found on one connection alone; TIME_WAIT is only a problem in numbers. */
type SingleCode = Exclude<FindingCode, "time-wait-many">;

/** Something about a connection that deserves a look, in one sentence. */
export interface Finding {
  readonly code: FindingCode;
  readonly message: string;
}

/** What goes wrong at this moment, as against what would go wrong if the peer died. */
export const troubleNow: ReadonlySet<FindingCode> = new Set<FindingCode>([
  "unacked-growing",
  "zero-window",
  "close-wait-stuck",
  "time-wait-many",
]);

/**
 * Slower than the kernel is with data in flight when nothing is set (tcp_retries2: 924.6 s): a keepalive or user timeout that was
 * set on purpose and is slower helps nobody. It is also the summary line's "more than 15 min".
 */
export const slowDetectionMs = 900_000;

/** TCP_FIN_TIMEOUT, include/net/tcp.h: by then the peer's kernel has given up its FIN_WAIT2, so nobody waits for our close. */
export const closeWaitStuckMs = 60_000;

/** R1 of RFC 9293 §3.8.3: at least three retransmissions in a row, upon which the path is to be doubted. */
export const unackedRetransmits = 3;

/** Retransmission timeouts that may pass without an acknowledgement before a growing queue means anything: one is a lost packet. */
const quietRtos = 2;

/** What findings are made from. */
export interface Assessed {
  readonly socket: SocketFacts;
  readonly seen: SeenSettings;
  readonly regime: Regime;
  readonly detection: ConnectionDetection;
  readonly lastHeardMs: number | null;
}

/** The same host a little earlier, to tell what grows. */
export interface EarlierSample {
  readonly elapsedMs: number;
  /** Bytes in the send queue by socket cookie. */
  readonly sendQueues: ReadonlyMap<string, number>;
}

/** What a box on the path does to idle connections; of the catalogue in plan/middleboxes. */
export interface PathBox {
  readonly name: string;
  readonly idleMs: number;
  /** Whether TCP keepalive probes count as traffic there. */
  readonly countsKeepalive: boolean;
}

const noFindings: readonly Finding[] = [];

/** The worst first. A set of them is a number with the bit of each one's place. */
const singleCodes = [
  "unacked-growing",
  "zero-window",
  "close-wait-stuck",
  "no-keepalive",
  "idle-exceeds-path",
  "slow-detection",
  "no-user-timeout",
] as const satisfies readonly SingleCode[];

const [
  unackedGrowing,
  zeroWindow,
  closeWaitStuck,
  noKeepalive,
  idleExceedsPath,
  slowDetection,
  noUserTimeout,
] = singleCodes.map((_, place) => 1 << place) as [number, number, number, number, number, number, number];

/**
 * Findings of one survey. Connections with the same findings share one array.
 *
 * @example new FindingTable([findPathBox("aws-nlb")]).of(assessed).map(({ code }) => code) // ["idle-exceeds-path"]
 */
export class FindingTable {
  readonly #path: readonly PathBox[];
  readonly #earlier: EarlierSample | null;
  /** The sentences depend on the settings, and so on the detection, which is shared among connections of the same settings. */
  readonly #shared = new Map<ConnectionDetection, Map<number, readonly Finding[]>>();

  constructor(path: readonly PathBox[] = [], earlier: EarlierSample | null = null) {
    this.#path = path;
    this.#earlier = earlier;
  }

  /** Whether more counts than a socket's settings and situation: its own addresses, or its own past. */
  get looksAtEach(): boolean {
    return this.#path.length > 0 || this.#earlier !== null;
  }

  of(assessed: Assessed): readonly Finding[] {
    const { state } = assessed.socket;
    // The other states end by themselves or have not begun; what is set then matters to nobody yet.
    if (state !== "ESTABLISHED" && state !== "CLOSE_WAIT") return noFindings;
    const codes = this.#codes(assessed);
    if (codes === 0) return noFindings;
    let lists = this.#shared.get(assessed.detection);
    if (lists === undefined) {
      lists = new Map();
      this.#shared.set(assessed.detection, lists);
    }
    let list = lists.get(codes);
    if (list === undefined) {
      list = singleCodes
        .filter((_, place) => (codes & (1 << place)) !== 0)
        .map((code) => ({ code, message: this.#message(code, assessed) }));
      lists.set(codes, list);
    }
    return list;
  }

  /** The set of those that apply. */
  #codes(assessed: Assessed): number {
    const { socket, seen, regime, lastHeardMs } = assessed;
    const { settings, settingsFrom } = seen;
    let codes = 0;
    if (this.#isUnackedGrowing(assessed)) codes |= unackedGrowing;
    if (regime === "zero-window") codes |= zeroWindow;
    if (socket.state === "CLOSE_WAIT" && lastHeardMs !== null && lastHeardMs >= closeWaitStuckMs)
      codes |= closeWaitStuck;
    if (settingsFrom !== "unknown" && settings.keepalive === null) codes |= noKeepalive;
    if (this.#forgetfulBox(assessed) !== undefined) codes |= idleExceedsPath;
    // What only the timer shows says nothing about the times.
    if (settingsFrom !== "socket") return codes;
    if (isSlow(assessed)) codes |= slowDetection;
    if (settings.userTimeoutMs === 0) codes |= noUserTimeout;
    return codes;
  }

  #isUnackedGrowing({ socket, regime }: Assessed): boolean {
    if (regime !== "sending") return false;
    if (socket.timer.kind === "retransmit" && socket.timer.retransmits >= unackedRetransmits) return true;
    const before = this.#earlier?.sendQueues.get(socket.cookie) ?? 0;
    if (this.#earlier === null || socket.info === null || before === 0) return false;
    const { lastAckRecvMs, rtoUs } = socket.info;
    return (
      socket.sendQueue > before &&
      lastAckRecvMs >= this.#earlier.elapsedMs &&
      lastAckRecvMs >= (quietRtos * rtoUs) / 1_000
    );
  }

  /** The box on the path that forgets the connection first, if one does before keepalive speaks. */
  #forgetfulBox({ socket, seen }: Assessed): PathBox | undefined {
    if (this.#path.length === 0 || seen.settingsFrom === "unknown" || withinHost(socket)) return undefined;
    const quietMs = seen.settings.keepalive?.idleMs ?? Number.POSITIVE_INFINITY;
    return this.#path
      .filter((box) => !box.countsKeepalive || quietMs >= box.idleMs)
      .toSorted((a, b) => a.idleMs - b.idleMs)[0];
  }

  #message(code: SingleCode, assessed: Assessed): string {
    const { detection, seen } = assessed;
    switch (code) {
      case "unacked-growing":
        return "what was sent goes unacknowledged and is sent again: the peer or the path is silent";
      case "zero-window":
        return "the peer's window is closed: it reads too slowly or not at all, and what is queued waits";
      case "close-wait-stuck":
        return "the peer closed its side over a minute ago and the program has not closed its own";
      case "no-keepalive":
        return "keepalive is off: while nothing is sent, a dead peer is never noticed";
      case "idle-exceeds-path": {
        const box = this.#forgetfulBox(assessed);
        const forgets = `${box?.name} forgets it after ${formatDuration(box?.idleMs ?? null)} of silence`;
        if (seen.settings.keepalive === null) return `${forgets}, and keepalive is off`;
        return box?.countsKeepalive === false
          ? `${forgets}, and keepalive probes do not count there`
          : `${forgets}, before keepalive speaks`;
      }
      case "slow-detection":
        return isSlowWhenIdle(assessed)
          ? `keepalive takes ${formatDuration(detection.idleMs)} to notice a dead peer`
          : `the user timeout lets data wait ${formatDuration(seen.settings.userTimeoutMs)} for a dead peer`;
      default:
        return `no user timeout: with data in flight, a dead peer is noticed after ${formatDuration(detection.sendingMs)} at the earliest`;
    }
  }
}

function isSlow(assessed: Assessed): boolean {
  return isSlowWhenIdle(assessed) || assessed.seen.settings.userTimeoutMs > slowDetectionMs;
}

function isSlowWhenIdle({ detection }: Assessed): boolean {
  return detection.idleMs !== null && detection.idleMs > slowDetectionMs;
}
