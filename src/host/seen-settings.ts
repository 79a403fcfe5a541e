import type { SocketSettings } from "../kernel/socket-options.js";
import type { Settings, SystemDefaults } from "../plan/settings.js";
import type { ConnectionKeepalive, SettingsSource } from "./connection.js";
import type { SocketFacts } from "./socket-facts.js";

/** What is known of a socket's settings, and the settings to reckon with. */
export interface SeenSettings {
  readonly settingsFrom: SettingsSource;
  readonly keepalive: ConnectionKeepalive | null;
  readonly userTimeoutMs: number | null;
  /** What is not known counts as left alone: keepalive off, no user timeout. */
  readonly settings: Settings;
}

/** Settings that were read from the socket itself. */
export function settingsOfSocket(read: SocketSettings): SeenSettings {
  const { enabled, idleMs, intervalMs, count } = read.keepalive;
  return {
    settingsFrom: "socket",
    keepalive: read.keepalive,
    userTimeoutMs: read.userTimeoutMs,
    settings: {
      keepalive: enabled ? { idleMs, intervalMs, count } : null,
      userTimeoutMs: read.userTimeoutMs,
      ...(read.rtoMaxMs === null ? {} : { rtoMaxMs: read.rtoMaxMs }),
    },
  };
}

/** What the kernel's list of sockets gives away without reading any socket, for the defaults of one namespace. */
export class TimerSettings {
  readonly #on: SeenSettings;
  readonly #off: SeenSettings = {
    settingsFrom: "timer",
    keepalive: null,
    userTimeoutMs: null,
    settings: { keepalive: null, userTimeoutMs: 0 },
  };
  readonly #unknown: SeenSettings = { ...this.#off, settingsFrom: "unknown" };

  constructor({ keepalive }: SystemDefaults) {
    this.#on = {
      settingsFrom: "timer",
      keepalive: { enabled: true, ...keepalive },
      userTimeoutMs: null,
      settings: { keepalive, userTimeoutMs: 0 },
    };
  }

  /**
   * inet_sk_diag_fill shows one timer: retransmission and window probes before sk_timer, so while one of those runs nothing is
   * known. sk_timer is keepalive's in these states alone (FIN_WAIT2 uses it for its own end), and is armed whenever keepalive is on.
   */
  of({ state, timer }: SocketFacts): SeenSettings {
    if (state !== "ESTABLISHED" && state !== "CLOSE_WAIT") return this.#unknown;
    if (timer.kind === "keepalive") return this.#on;
    return timer.kind === "none" ? this.#off : this.#unknown;
  }
}
