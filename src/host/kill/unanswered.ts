import type { DiagTimer } from "../../kernel/sock-diag.js";
import type { TcpInfo } from "../../kernel/tcp-info.js";
import type { KeepaliveSettings } from "../../plan/settings.js";

/** What the peer owes an answer to. */
export interface Unanswered {
  /** For how long it has owed one, at least, and was not heard. */
  readonly forMs: number;
  /** `data`: what was sent, a FIN or a SYN included. */
  readonly to: "data" | "keepalive" | "window-probes";
  /** Retransmissions or probes in a row without an answer. */
  readonly times: number;
}

/** What one socket tells about its questions to the peer. */
export interface Questions {
  readonly timer: DiagTimer;
  readonly info: Pick<TcpInfo, "rtoUs" | "backoff" | "lastDataSentMs"> | null;
  /** null: nothing was heard yet. */
  readonly lastHeardMs: number | null;
  /** As read from the socket; null: off, or not known. */
  readonly keepalive: Pick<KeepaliveSettings, "idleMs" | "intervalMs"> | null;
}

/** TCP_RTO_MIN and TCP_RTO_MAX, include/net/tcp.h. */
const rtoMinMs = 200;
const rtoMaxMs = 120_000;

/**
 * How long a peer has owed an answer: the age of the oldest question that was asked after it was last heard, reckoned backwards
 * from the timer that will ask next. Silence alone proves nothing, as an idle peer has nothing to say. Neither does a question
 * alone, as its answer may be on the way; so null until one was asked again, or a probe has gone without an answer for a
 * retransmission timeout. Where something is not known the time comes out too short, never too long.
 *
 * @example unanswered({ timer, info, lastHeardMs: 75_000, keepalive: { idleMs: 60_000, intervalMs: 10_000 } })?.forMs // 15000
 */
export function unanswered(questions: Questions): Unanswered | null {
  switch (questions.timer.kind) {
    case "retransmit":
      return data(questions);
    case "keepalive":
      return keepaliveProbes(questions);
    case "zero-window":
      return windowProbes(questions);
    default:
      return null;
  }
}

function data({ timer, info, lastHeardMs }: Questions): Unanswered | null {
  const times = timer.retransmits;
  if (times === 0 || info === null) return null;
  const timeoutMs = info.rtoUs / 1_000;
  const firstMs = firstTimeoutMs(timeoutMs, info.backoff);
  // A retransmission counts as data sent. A FIN or SYN does not: there the timer tells.
  const sinceMs = Math.min(info.lastDataSentMs, timeoutMs - timer.expiresMs);
  const earlier = timeoutsBefore(info.backoff, times, firstMs, timeoutMs);
  const forMs = oldestAfter(lastHeardMs, sinceMs, earlier);
  return forMs < firstMs ? null : { forMs, to: "data", times };
}

/**
 * Each timeout doubles the next (tcp_retransmit_timer) up to a limit. `backoff` is how often it did: not for the first SYNs, nor for
 * thin streams. At the limit the first timeout cannot be told any more; there is none shorter than TCP_RTO_MIN.
 */
function firstTimeoutMs(timeoutMs: number, backoff: number): number {
  const first = timeoutMs / 2 ** backoff;
  return timeoutMs < rtoMaxMs ? first : Math.max(first, rtoMinMs);
}

/** A peer that keeps its window closed and answers lives: its answer clears the count (tcp_ack). */
function windowProbes({ timer, info, lastHeardMs }: Questions): Unanswered | null {
  const times = timer.retransmits;
  if (times === 0 || info === null) return null;
  // tcp_probe0_base and tcp_probe0_when.
  const firstMs = Math.max(info.rtoUs / 1_000, rtoMinMs);
  const timeoutMs = Math.min(firstMs * 2 ** info.backoff, rtoMaxMs);
  const earlier = timeoutsBefore(info.backoff, times - 1, firstMs, timeoutMs);
  const forMs = oldestAfter(lastHeardMs, timeoutMs - timer.expiresMs, earlier);
  return forMs < firstMs ? null : { forMs, to: "window-probes", times };
}

/**
 * The probe's answer clears the count, but data from the peer need not (tcp_rcv_established's fast path), so that the count may be
 * an old one. And where the idle time was shortened meanwhile, the first probe is younger than silence and idle time make it. So
 * both are asked.
 */
function keepaliveProbes({ timer, info, lastHeardMs, keepalive }: Questions): Unanswered | null {
  const times = timer.retransmits;
  if (times === 0 || info === null || keepalive === null || lastHeardMs === null) return null;
  const { idleMs, intervalMs } = keepalive;
  const sinceMs = intervalMs - timer.expiresMs;
  const forMs = Math.min(lastHeardMs - idleMs, sinceMs + (times - 1) * intervalMs);
  return forMs < info.rtoUs / 1_000 ? null : { forMs, to: "keepalive", times };
}

/** The timeouts before the running one, the youngest first. */
function timeoutsBefore(backoff: number, count: number, firstMs: number, limitMs: number): number[] {
  return Array.from({ length: count }, (_, index) =>
    Math.min(firstMs * 2 ** Math.max(0, backoff - 1 - index), limitMs),
  );
}

/** The age of the oldest question that the peer has not been heard after, from the age of the youngest and the times between them. */
function oldestAfter(lastHeardMs: number | null, youngestMs: number, between: readonly number[]): number {
  const heardMs = lastHeardMs ?? Number.POSITIVE_INFINITY;
  let oldestMs = 0;
  let ageMs = youngestMs;
  for (const betweenMs of [...between, 0]) {
    if (ageMs > heardMs) break;
    oldestMs = ageMs;
    ageMs += betweenMs;
  }
  return oldestMs;
}
