import type { DiagSocket, DiagTimer } from "../kernel/sock-diag.js";
import type { TcpState } from "../kernel/tcp-states.js";
import type { Regime } from "../plan/model.js";
import type { SystemDefaults } from "../plan/settings.js";
import type { ConnectionDetection } from "./connection.js";
import { DetectionTable } from "./detection.js";
import { closeWaitStuckMs, type Finding, type FindingTable } from "./findings.js";
import { lastHeardMs, regimeOf } from "./regime.js";
import { type SeenSettings, TimerSettings } from "./seen-settings.js";
import type { SocketFacts } from "./socket-facts.js";

/** What the model makes of a socket. Sockets with the same settings in the same situation share one. */
export interface Assessment {
  readonly state: TcpState;
  readonly timerKind: DiagTimer["kind"];
  readonly seen: SeenSettings;
  readonly regime: Regime;
  readonly detection: ConnectionDetection;
  readonly findings: readonly Finding[];
}

/** A bit that DiagSocket.situation leaves free: long silence matters to a connection that the peer has closed. */
const longSilent = 1 << 27;

/**
 * Assesses the sockets of one namespace. A host with many thousand of them has few kinds, and each kind is assessed once; where
 * more than settings and situation counts (a path, an earlier sample), each socket is.
 *
 * @example new AssessmentTable(readSystemDefaults(), new FindingTable()).of(socket, null).detection.worstMs
 */
export class AssessmentTable {
  readonly #timers: TimerSettings;
  readonly #detections: DetectionTable;
  readonly #findings: FindingTable;
  /** By what was read from the socket; null: nothing was. */
  readonly #known = new Map<SeenSettings | null, Map<number, Assessment>>();

  constructor(system: SystemDefaults, findings: FindingTable) {
    this.#timers = new TimerSettings(system);
    this.#detections = new DetectionTable(system);
    this.#findings = findings;
  }

  /** @param read null: what the kernel's list gives away must do. */
  of(socket: DiagSocket, read: SeenSettings | null): Assessment {
    const receivedMs = socket.lastReceivedMs;
    const key = socket.situation | (receivedMs !== null && receivedMs >= closeWaitStuckMs ? longSilent : 0);
    let known = this.#known.get(read);
    if (known === undefined) {
      known = new Map();
      this.#known.set(read, known);
    }
    const found = known.get(key);
    if (found !== undefined) return found;
    const assessment = this.#assess(socket, read);
    // The time to detect of what ends by itself is what its timer has left.
    if (!this.#findings.looksAtEach && assessment.timerKind !== "time-wait") known.set(key, assessment);
    return assessment;
  }

  #assess(socket: DiagSocket, read: SeenSettings | null): Assessment {
    const facts = factsOf(socket);
    const { state, timer } = facts;
    const seen = read ?? this.#timers.of(facts);
    const regime = regimeOf(facts);
    const detection = this.#detections.of(facts, seen, regime);
    const heardMs = lastHeardMs(state, socket.lastReceivedMs);
    const findings = this.#findings.of({ socket: facts, seen, regime, detection, lastHeardMs: heardMs });
    return { state, timerKind: timer.kind, seen, regime, detection, findings };
  }
}

/** Every field of a record is decoded anew each time it is asked for, and the record may move on. */
function factsOf(socket: DiagSocket): SocketFacts {
  const { inode, state, timer, local, remote, sendQueue, info } = socket;
  return { cookie: String(socket.cookie), inode, state, timer, local, remote, sendQueue, info };
}
