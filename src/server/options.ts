import { DeadpeerError } from "../errors.js";
import type { Wanted as WantedSettings } from "../guard/settings.js";
import type { BeatSettings } from "../heartbeat/engine/engine.js";
import { beatSettings, type Wanted } from "../heartbeat/engine/settings.js";
import { limits } from "../heartbeat/protocol/message.js";
import type { SessionStore } from "../heartbeat/session/journal.js";
import { type QueueBounds, queueBounds } from "../heartbeat/session/outbox.js";
import { systemClock } from "../kernel/clock.js";
import { durationMs } from "../plan/duration.js";
import type { TimerClock } from "../time/clock.js";
import { type ParkingOptions, type ParkingSettings, parkingSettings } from "./parking/options.js";

export interface HeartbeatServerOptions {
  /** When a silent client is asked and given up, unless it announces a longer interval. Default: `"normal"`. */
  readonly detect?: Wanted;
  /** For how long a session waits for its client to come back. Default 2m. */
  readonly grace?: string | number;
  /** The longest interval that a client may announce. Default 1h. */
  readonly maxSilence?: string | number;
  /** For how long a connection may take to say hello, and TLS to be agreed on. Default 10s. */
  readonly handshake?: string | number;
  /** Sessions at a time, away ones included. Default 100 000. */
  readonly maxSessions?: number;
  /** Connections at a time that have not said hello yet. Default 10 000. */
  readonly maxGreetings?: number;
  /** Beats a second that a session has answered, in bursts of 40. Default 10. */
  readonly beatsPerSecond?: number;
  /** The longest message that is taken, in bytes. Default 1 MiB, which is also the most. */
  readonly maxPayload?: number;
  /** What may wait for a client. Default: 1000 messages, 8 MiB, refuse. */
  readonly queue?: Partial<QueueBounds>;
  /** Keeps sessions over the end of this process. Default: they end with it. */
  readonly store?: SessionStore;
  /**
   * TCP settings of the connections, as for `guardListener`; null: the system's. Default: `{ detectWithin: "1m" }`. Keepalive is off for
   * clients that announce an interval.
   */
  readonly tcp?: WantedSettings | null;
  /**
   * Keeps idle sessions over plain TCP in a thread of their own, at a fraction of the cost: see docs/parking.md. Default: where it can be,
   * on Linux with koffi and the system's clock, in the main thread; true: refused elsewhere.
   */
  readonly parking?: boolean | ParkingOptions;
  /** Closes the server. */
  readonly signal?: AbortSignal;
  /** Default: the system's clocks. */
  readonly clock?: TimerClock;
}

/** The options as the server's parts take them. */
export interface ServerSettings {
  readonly beats: BeatSettings;
  readonly deadlineMs: number;
  readonly graceMs: number;
  readonly maxSilenceMs: number;
  readonly handshakeMs: number;
  readonly maxSessions: number;
  readonly maxGreetings: number;
  readonly beatEveryMs: number;
  readonly maxPayload: number;
  readonly bounds: QueueBounds;
  readonly clock: TimerClock;
  /** null: sessions are not parked. */
  readonly parking: ParkingSettings | null;
}

/** @throws DeadpeerError `bad-option`, `bad-duration`. */
export function serverSettings(options: HeartbeatServerOptions): ServerSettings {
  const beats = beatSettings(options.detect ?? "normal");
  const { beatsPerSecond = 10, maxPayload = limits.dataPayload } = options;
  if (!(beatsPerSecond > 0))
    throw new DeadpeerError(
      "bad-option",
      `beatsPerSecond: ${beatsPerSecond} allows no beats; give more than 0`,
    );
  if (!(maxPayload >= 1 && maxPayload <= limits.dataPayload))
    throw new DeadpeerError(
      "bad-option",
      `maxPayload: ${maxPayload} is not from 1 to ${limits.dataPayload} bytes`,
    );
  const { maxSessions = 100_000, maxGreetings = 10_000 } = options;
  for (const [name, most] of Object.entries({ maxSessions, maxGreetings, maxPayload }))
    if (!(Number.isInteger(most) && most >= 1))
      throw new DeadpeerError("bad-option", `${name}: ${most} is not a whole number above 0`);
  const handshakeMs = durationMs(options.handshake ?? "10s", "handshake");
  if (handshakeMs === 0)
    throw new DeadpeerError("bad-option", "handshake: 0 leaves no time to say hello; give 10s, for example");
  return {
    beats,
    deadlineMs: beats.idleMs + beats.intervalMs * beats.count,
    graceMs: durationMs(options.grace ?? "2m", "grace"),
    maxSilenceMs: durationMs(options.maxSilence ?? "1h", "maxSilence"),
    handshakeMs,
    maxSessions,
    maxGreetings,
    beatEveryMs: 1_000 / beatsPerSecond,
    maxPayload,
    bounds: queueBounds(options.queue),
    clock: options.clock ?? systemClock,
    parking: parkingSettings(options.parking, options.clock),
  };
}
