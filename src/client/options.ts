import { type ConnectionOptions, createSecureContext } from "node:tls";
import { DeadpeerError } from "../errors.js";
import type { Wanted as WantedSettings } from "../guard/settings.js";
import { type BeatSettings } from "../heartbeat/engine/engine.js";
import { beatSettings, type Wanted } from "../heartbeat/engine/settings.js";
import { type LearnerOptions, learnerTimes } from "../heartbeat/learner.js";
import { limits } from "../heartbeat/protocol/message.js";
import type { SessionStore } from "../heartbeat/session/journal.js";
import { type QueueBounds, queueBounds } from "../heartbeat/session/outbox.js";
import type { Transport } from "../heartbeat/session/wire.js";
import { systemClock } from "../kernel/clock.js";
import { durationMs } from "../plan/duration.js";
import type { TimerClock } from "../time/clock.js";
import { type Target, targetsFrom } from "./target.js";

export interface LongConnectionOptions {
  /** Where the server is: `tls://hub.example:7443`, or several, which are tried in order. */
  readonly to: string | Target | readonly (string | Target)[];
  /** As for `tls.connect`. */
  readonly tls?: ConnectionOptions;
  /** For `udp://`: 32 bytes that the server has as well. */
  readonly key?: Uint8Array;
  /** For `udp://` without a key: the server's TCP or TLS address, where the key comes from. */
  readonly greetAt?: string | Target;
  /** When a silent server is asked and given up. Default: `"normal"`. */
  readonly detect?: Wanted;
  /** Learns how long the network remembers a silent connection, and beats as seldom as that allows. */
  readonly adaptive?: Omit<LearnerOptions, "network"> & {
    /** Default: this host's address and the server's. */
    readonly network?: string;
  };
  /** What goes with each beat and answer: up to 64 KiB. */
  readonly payload?: () => Uint8Array | string;
  /** What may wait for the server. Default: 1000 messages, 8 MiB, refuse. */
  readonly queue?: Partial<QueueBounds>;
  /** `"refuse"`: while the server is away, nothing is taken. Default: `"queue"`. */
  readonly whileAway?: "queue" | "refuse";
  /** How long to wait before each attempt: up to `first`, doubled each time, up to `most`; anew after `stableAfter` online. */
  readonly backoff?: {
    readonly first?: string | number;
    readonly most?: string | number;
    readonly stableAfter?: string | number;
  };
  /** For how long an attempt may take, hello included. Default 10s. */
  readonly connectTimeout?: string | number;
  /** Keeps the session over the end of this process. */
  readonly store?: SessionStore;
  /** TCP settings, as for `guard`. Default: `{ detectWithin: "1m" }`; with `adaptive` no keepalive, and a user timeout of a minute. */
  readonly tcp?: WantedSettings;
  /** false: does not look whether the host's network changes. Default: it does, where the kernel can be asked. */
  readonly watchNetwork?: boolean;
  /** Ends it at once; the server keeps the session for its grace time. */
  readonly signal?: AbortSignal;
  /** Default: the system's clocks. */
  readonly clock?: TimerClock;
}

/** The options as the client's parts take them. */
export interface ClientSettings {
  readonly targets: readonly [Target, ...Target[]];
  readonly greetAt: Target | null;
  readonly beats: BeatSettings;
  readonly bounds: QueueBounds;
  readonly firstMs: number;
  readonly mostMs: number;
  readonly stableMs: number;
  readonly connectMs: number;
  readonly clock: TimerClock;
}

/** Certificates and the like are read when it connects; what is wrong with them is to be told at once. */
function checkTls(tls: ConnectionOptions): void {
  try {
    createSecureContext(tls);
  } catch (error) {
    throw new DeadpeerError("bad-option", `tls: ${(error as Error).message}`, { cause: error });
  }
}

/** @throws DeadpeerError `bad-option`, `bad-address`, `bad-duration`. */
export function clientSettings(options: LongConnectionOptions): ClientSettings {
  const { backoff = {}, key, greetAt } = options;
  const targets = targetsFrom(options.to);
  if (key !== undefined && key.length !== limits.key)
    throw new DeadpeerError("bad-option", `key: ${key.length} bytes; a key has ${limits.key}`);
  const greet = greetAt === undefined ? null : targetsFrom(greetAt)[0];
  if (greet?.transport === "udp")
    throw new DeadpeerError("bad-option", "greetAt: a key comes over tcp:// or tls://");
  const over = (transport: Transport): boolean =>
    targets.some((target) => target.transport === transport) || greet?.transport === transport;
  if (key !== undefined && greet !== null)
    throw new DeadpeerError(
      "bad-option",
      "key and greetAt: give one; with greetAt the key comes from the server",
    );
  if (options.tls !== undefined) {
    // Whoever gives certificates does not mean to go without them.
    if (!over("tls")) throw new DeadpeerError("bad-option", "tls: none of the addresses is tls://");
    checkTls(options.tls);
  }
  if (over("udp") && key === undefined && greet === null)
    throw new DeadpeerError("bad-option", "udp:// needs a key of 32 bytes, or greetAt, where one comes from");
  const connectMs = durationMs(options.connectTimeout ?? "10s", "connectTimeout");
  if (connectMs === 0)
    throw new DeadpeerError(
      "bad-option",
      "connectTimeout: 0 leaves no time to connect; give 10s, for example",
    );
  if (options.adaptive !== undefined) learnerTimes(options.adaptive);
  return {
    targets,
    greetAt: greet,
    beats: beatSettings(options.detect ?? "normal"),
    bounds: queueBounds(options.queue),
    firstMs: durationMs(backoff.first ?? "500ms", "backoff.first"),
    mostMs: durationMs(backoff.most ?? "1m", "backoff.most"),
    stableMs: durationMs(backoff.stableAfter ?? "30s", "backoff.stableAfter"),
    connectMs,
    clock: options.clock ?? systemClock,
  };
}
