import type { Socket } from "node:net";
import { readSystemDefaults } from "../kernel/sysctl.js";
import { type Detection, detectionTimes, type Regime } from "../plan/model.js";
import { linuxDefaults, type Settings, type SystemDefaults } from "../plan/settings.js";
import { figuresRegime } from "../verdict/regime.js";
import { heldSettings } from "./apply.js";
import { figuresOf } from "./gather.js";
import { baseFd } from "./inner-socket.js";

/** A guarded connection at one moment. */
export interface GuardSnapshot {
  /** The kernel's name of the TCP state; null where tcp_info cannot be read. */
  readonly state: string | null;
  readonly regime: Regime;
  /** Since data or an acknowledgement last came from the peer; null: never, or not to be known. */
  readonly lastHeardMs: number | null;
  /** What the socket holds, read from the kernel where that is possible. */
  readonly settings: Settings;
  /** How long a dead peer goes unnoticed, by regime and in the present one (`nowMs`); null: never. */
  readonly detection: Detection & { readonly nowMs: number | null };
}

export function takeSnapshot(socket: Socket, assumed: Settings): GuardSnapshot {
  const fd = baseFd(socket);
  const figures = figuresOf(fd);
  const regime = figures === null ? (socket.pending ? "connecting" : "idle") : figuresRegime(figures);
  const settings = heldSettings(fd) ?? assumed;
  const detection = detectionTimes(settings, systemDefaults());
  const heard = figures !== null && regime !== "connecting" && regime !== "none";
  return {
    state: figures?.state ?? null,
    regime,
    lastHeardMs: heard
      ? Math.min(figures.lastDataRecvMs ?? Infinity, figures.lastAckRecvMs ?? Infinity)
      : null,
    settings,
    detection: { ...detection, nowMs: detectionIn(regime, detection) },
  };
}

function detectionIn(regime: Regime, detection: Detection): number | null {
  switch (regime) {
    case "idle":
      return detection.idleMs;
    case "connecting":
      return detection.connectingMs;
    case "zero-window":
      return detection.zeroWindowSilentMs;
    case "sending":
    case "closing":
      return detection.sendingMs;
    default:
      return null;
  }
}

let system: SystemDefaults | undefined;

/** Read once: a program that takes snapshots of many sockets should not read the same files for each. */
function systemDefaults(): SystemDefaults {
  system ??= process.platform === "linux" ? readSystemDefaults() : linuxDefaults;
  return system;
}
