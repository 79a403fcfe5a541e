import {
  type Detection,
  type Regime,
  deadPeerMs,
  detectionTimes,
  retransmissionTimeoutMs,
  worstMs,
} from "../plan/model.js";
import type { SystemDefaults } from "../plan/settings.js";
import type { ConnectionDetection } from "./connection.js";
import type { SeenSettings } from "./seen-settings.js";
import type { SocketFacts } from "./socket-facts.js";

/** tcp_orphan_retries(): 8 where net.ipv4.tcp_orphan_retries is 0, as it comes, for a socket that no process holds. */
const orphanRetries = 8;

/** net.ipv4.tcp_synack_retries as it comes. Neither keepalive nor user timeout acts on a half-open connection. */
const synAckRetries = 5;

/** The initial retransmission timeout, RFC 6298 §2.1. */
const initialRtoMs = 1_000;

/** Unanswered window probes from which a peer with a closed window counts as silent: one alone may still be under way. */
const silentProbes = 2;

/**
 * From a socket's settings to the times that `ls` shows, under the defaults of one namespace. Connections with the same settings
 * in the same situation share one object, so that a host with many thousand connections needs few.
 *
 * @example new DetectionTable(linuxDefaults).of(socket, settingsOfSocket(read), "idle").nowMs // 90000
 */
export class DetectionTable {
  readonly #system: SystemDefaults;
  readonly #shared = new Map<SeenSettings, Map<keyof Detection | null, ConnectionDetection>>();

  constructor(system: SystemDefaults) {
    this.#system = system;
  }

  of(socket: SocketFacts, seen: SeenSettings, regime: Regime): ConnectionDetection {
    const endsInMs = this.#endsByItselfInMs(socket);
    if (endsInMs !== null) return inEveryRegime(endsInMs);
    const now = currentTime(socket, regime);
    let shared = this.#shared.get(seen);
    if (shared === undefined) {
      shared = new Map();
      this.#shared.set(seen, shared);
    }
    let detection = shared.get(now);
    if (detection === undefined) {
      detection = shown(detectionTimes(seen.settings, this.#system), now);
      shared.set(now, detection);
    }
    return detection;
  }

  /** States that the kernel ends whatever the peer does, with what is left until then; null for all others. */
  #endsByItselfInMs({ state, timer, inode }: SocketFacts): number | null {
    // FIN_WAIT2 without an owner included: tcp_fin_timeout ends it.
    if (timer.kind === "time-wait") return timer.expiresMs;
    if (state === "SYN_RECV" || state === "NEW_SYN_RECV")
      return retransmissionTimeoutMs(synAckRetries, initialRtoMs, this.#system.rtoMaxMs);
    if (inode !== 0) return null;
    if (state === "FIN_WAIT1" || state === "CLOSING" || state === "LAST_ACK")
      return retransmissionTimeoutMs(orphanRetries, this.#system.rtoMinMs, this.#system.rtoMaxMs);
    return null;
  }
}

/** Which of the model's times is running for this socket; null: none, there is no peer. */
function currentTime({ state, timer }: SocketFacts, regime: Regime): keyof Detection | null {
  switch (regime) {
    case "idle":
      return "idleMs";
    case "sending":
      return "sendingMs";
    case "zero-window":
      return timer.retransmits >= silentProbes ? "zeroWindowSilentMs" : "zeroWindowMs";
    case "connecting":
      return "connectingMs";
    case "closing":
      // In FIN_WAIT2 our FIN is acknowledged and only keepalive speaks; in the others it is data in flight.
      return state === "FIN_WAIT2" ? "idleMs" : "sendingMs";
    default:
      return null;
  }
}

function shown(detection: Detection, now: keyof Detection | null): ConnectionDetection {
  return {
    idleMs: detection.idleMs,
    sendingMs: detection.sendingMs,
    zeroWindowMs: detection.zeroWindowMs,
    nowMs: now === null ? null : detection[now],
    worstMs: worstMs(detection),
    deadPeerMs: deadPeerMs(detection),
  };
}

function inEveryRegime(ms: number): ConnectionDetection {
  return { idleMs: ms, sendingMs: ms, zeroWindowMs: ms, nowMs: ms, worstMs: ms, deadPeerMs: ms };
}
