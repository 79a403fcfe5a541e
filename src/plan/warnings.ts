import type { Rounding } from "./check.js";
import { formatDuration } from "./duration.js";
import type { Middlebox } from "./middleboxes.js";
import type { Detection } from "./model.js";
import { keepsFlow, longestIdleMs } from "./path.js";
import type { RidesOut } from "./rides-out.js";
import type { KeepaliveSettings, Settings } from "./settings.js";

export type WarningCode =
  | "idle-exceeds-path"
  | "keepalive-not-counted"
  | "user-timeout-below-idle"
  | "user-timeout-adds-interval"
  | "kills-slow-readers"
  | "rides-out-little"
  | "needs-heartbeat"
  | "unit-rounding";

/** Something that settings do and that people do not expect: one sentence on what happens, one on what to do. */
export interface Warning {
  readonly code: WarningCode;
  readonly message: string;
}

/** What warnings are made from. */
export interface Considered {
  readonly settings: Settings;
  readonly detection: Detection;
  readonly ridesOutMs: RidesOut;
  readonly path: readonly Middlebox[];
  readonly roundings: readonly Rounding[];
  /** Whether an outage was asked for by name; the plan then rides it out, and what is little has been decided. */
  readonly outageAsked: boolean;
}

/**
 * Shorter outages are everyday: a router pair at VRRP's defaults takes 3 to 4 s to fail over (RFC 9568 §6.1: three
 * advertisements of 1 s missed, and a skew below 1 s).
 */
const everydayOutageMs = 4_000;

/**
 * Programs that are alive stop reading this long and go on: a client that pages through a large result, a pipeline held back
 * by a slow disk, a reader under a debugger. A longer stop is rarely meant.
 */
const everydayReaderStopMs = 60_000;

const rules: Readonly<Record<WarningCode, (considered: Considered) => readonly string[]>> = {
  "idle-exceeds-path": ({ settings: { keepalive }, path }) =>
    path.flatMap((box) => {
      if (keepalive === null) {
        return [
          `${box.name} forgets a flow after ${formatDuration(box.idleMs)} of silence, and without keepalive nothing breaks the silence. Turn keepalive on.`,
        ];
      }
      if (!box.countsKeepalive || keepsFlow(keepalive, box.idleMs)) return [];
      const found =
        keepalive.idleMs >= box.idleMs
          ? `${box.name} forgets a flow after ${formatDuration(box.idleMs)} of silence, before the first probe goes out at ${formatDuration(keepalive.idleMs)}.`
          : `${box.name} forgets a flow after ${formatDuration(box.idleMs)}, so that one lost probe is too many: its repeat goes out at ${formatDuration(keepalive.idleMs + keepalive.intervalMs)}.`;
      return [`${found} Choose an idle time of at most ${formatDuration(longestIdleMs(box.idleMs))}.`];
    }),

  "keepalive-not-counted": ({ settings: { keepalive }, path }) =>
    keepalive === null
      ? []
      : path
          .filter(({ countsKeepalive }) => !countsKeepalive)
          .map(
            ({ name, idleMs }) =>
              `${name} does not count TCP keepalive: it ends a connection that carries no data for ${formatDuration(idleMs)}, probes or not. Send data of your own more often, or raise its idle timeout.`,
          ),

  "needs-heartbeat": ({ path }) => {
    const proxies = path.filter(({ terminates }) => terminates).map(({ name }) => name);
    return proxies.length === 0
      ? []
      : [
          `${proxies.join(" and ")} ${proxies.length === 1 ? "ends" : "end"} TCP itself: these times tell when the proxy is gone, not the peer behind it. Let the application send a heartbeat that the peer answers.`,
        ];
  },

  "user-timeout-below-idle": ({ settings: { keepalive, userTimeoutMs }, detection }) =>
    keepalive === null || userTimeoutMs === 0 || userTimeoutMs >= keepalive.idleMs
      ? []
      : [
          `The user timeout of ${formatDuration(userTimeoutMs)} is shorter than the idle time of ${formatDuration(keepalive.idleMs)}: an idle connection is noticed after ${formatDuration(detection.idleMs)} all the same, and one lost probe ends it. Shorten the idle time, or lengthen the user timeout to ${formatDuration(withoutUserTimeoutMs(keepalive))}.`,
        ],

  "user-timeout-adds-interval": ({ settings: { keepalive, userTimeoutMs }, detection }) =>
    keepalive === null || userTimeoutMs <= withoutUserTimeoutMs(keepalive)
      ? []
      : [
          `The user timeout takes the place of the count: an idle connection is noticed after ${formatDuration(detection.idleMs)}, not idle + interval x count = ${formatDuration(withoutUserTimeoutMs(keepalive))}. A user timeout of at most ${formatDuration(withoutUserTimeoutMs(keepalive))} adds nothing.`,
        ],

  "kills-slow-readers": ({ settings: { userTimeoutMs } }) =>
    userTimeoutMs === 0 || userTimeoutMs >= everydayReaderStopMs
      ? []
      : [
          `A peer that is alive but reads nothing for ${formatDuration(userTimeoutMs)} while data waits for it is cut off too. If your readers pause that long, take a longer time to detect, or no user timeout.`,
        ],

  "rides-out-little": ({ ridesOutMs, outageAsked, settings: { keepalive, userTimeoutMs } }) => {
    const least = Math.min(ridesOutMs.idle ?? Number.POSITIVE_INFINITY, ridesOutMs.sending);
    if (outageAsked || least >= everydayOutageMs) return [];
    const what =
      ridesOutMs.idle === 0
        ? "A single lost probe ends"
        : `An outage of more than ${formatDuration(least)} may end`;
    const remedy =
      keepalive !== null &&
      userTimeoutMs > 0 &&
      userTimeoutMs < withoutUserTimeoutMs(keepalive) - keepalive.intervalMs
        ? "Raise the user timeout"
        : "Allow more time to detect";
    return [
      `${what} a healthy connection, and a router's failover takes about ${formatDuration(everydayOutageMs)}. ${remedy} if the path has such outages.`,
    ];
  },

  "unit-rounding": ({ roundings }) =>
    roundings.map(
      ({ name, givenMs, keptMs }) =>
        `Linux keeps the ${name} in whole seconds: ${givenMs}ms becomes ${formatDuration(keptMs)}. Give whole seconds.`,
    ),
};

/** All warnings there are about settings, the gravest kinds first. */
export function warningsAbout(considered: Considered): Warning[] {
  return (Object.keys(rules) as WarningCode[]).flatMap((code) =>
    rules[code](considered).map((message) => ({ code, message })),
  );
}

function withoutUserTimeoutMs({ idleMs, intervalMs, count }: KeepaliveSettings): number {
  return idleMs + intervalMs * count;
}
