import type { Registry } from "prom-client";
import { DeadpeerError } from "../../errors.js";
import { settingsFrom, type Wanted } from "../../guard/settings.js";
import { systemClock } from "../../kernel/clock.js";
import { durationMs } from "../../plan/duration.js";
import { planDetection } from "../../plan/planner.js";
import type { Settings } from "../../plan/settings.js";
import type { Clock } from "../../time/clock.js";
import type { Verdict } from "../../verdict/verdict.js";
import type { IdleBounds } from "./idle-budget.js";

/** What `createDispatcher`, `createAgent` and `createHttpsAgent` have in common. */
export interface KeepAliveOptions {
  /**
   * How long servers keep an idle connection, in milliseconds, as it was measured: for all, or by origin. Take the low end of what
   * `deadpeer http` prints. Where a server's hint is shorter, the hint counts.
   *
   * @example { "https://api.example.com": 4900 }
   */
  readonly idleMs?: number | Readonly<Record<string, number>>;
  /** How long a connection may lie idle whose server was not measured and gives no hint. Default 4s. */
  readonly defaultIdle?: string | number;
  /** The longest a connection may lie idle, whatever its server says. Default 10m. */
  readonly maxIdle?: string | number;
  /** What is taken off a hint or a measurement, besides a round trip, for timers that are late on either side. Default 250ms. */
  readonly slack?: string | number;
  /** How many times a request is sent again whose reused connection the server had ended; 0: never. Default 2. */
  readonly replays?: number;
  /** When a dead server is noticed, as for `guard`; null: the sockets are left alone. Default: `{ detectWithin: "1m" }`. */
  readonly detect?: Wanted | null;
  /** Told what became of each connection, as by a guard's event. */
  readonly onVerdict?: (verdict: Verdict, origin: string) => void;
  /** Shows the figures as metrics in this registry of prom-client. */
  readonly registry?: Registry;
  /** The metrics' label `client`. Default: `"default"`. */
  readonly name?: string;
  /** Default: the system's clocks. */
  readonly clock?: Clock;
}

/** The options as the clients' parts take them. */
export interface KeepAliveSettings {
  readonly measuredMsOf: (origin: string) => number | null;
  readonly bounds: IdleBounds;
  readonly slackMs: number;
  readonly replays: number;
  readonly tcp: Settings | null;
  readonly onVerdict: ((verdict: Verdict, origin: string) => void) | null;
  readonly clock: Clock;
}

/** Splits deadpeer's own options from those that go on to undici or Node. */
export function splitOptions<T extends KeepAliveOptions>(
  options: T,
): { readonly own: KeepAliveOptions; readonly rest: Omit<T, keyof KeepAliveOptions> } {
  const { idleMs, defaultIdle, maxIdle, slack, replays, detect, onVerdict, registry, name, clock, ...rest } =
    options;
  const own = { idleMs, defaultIdle, maxIdle, slack, replays, detect, onVerdict, registry, name, clock };
  return { own: own as KeepAliveOptions, rest };
}

/** @throws DeadpeerError `bad-option`, `bad-duration`; what planDetection throws. */
export function keepAliveSettings(options: KeepAliveOptions): KeepAliveSettings {
  const { replays = 2, detect, onVerdict, clock } = options;
  if (!Number.isInteger(replays) || replays < 0)
    throw new DeadpeerError("bad-option", `replays: ${replays} is no count; give 0 or a whole number above`);
  return {
    measuredMsOf: measurements(options.idleMs),
    bounds: {
      defaultMs: durationMs(options.defaultIdle ?? "4s", "defaultIdle"),
      maxMs: durationMs(options.maxIdle ?? "10m", "maxIdle"),
    },
    slackMs: durationMs(options.slack ?? "250ms", "slack"),
    replays,
    tcp:
      detect === null
        ? null
        : detect === undefined
          ? planDetection({ detectWithin: "1m" }).settings
          : settingsFrom(detect),
    onVerdict: onVerdict ?? null,
    clock: clock ?? systemClock,
  };
}

function measurements(idleMs: KeepAliveOptions["idleMs"]): (origin: string) => number | null {
  if (idleMs === undefined) return () => null;
  if (typeof idleMs !== "object" || idleMs === null) {
    const everywhere = durationMs(idleMs, "idleMs");
    return () => everywhere;
  }
  const byOrigin = new Map(
    Object.entries(idleMs).map(([origin, ms]) => [originOf(origin), durationMs(ms, `idleMs of ${origin}`)]),
  );
  return (origin) => byOrigin.get(origin) ?? null;
}

/** As URLs write it, without the port that the scheme has anyway. */
export function originOf(url: string | URL): string {
  const parsed = typeof url === "string" && URL.canParse(url) ? new URL(url) : url;
  if (typeof parsed === "string" || !/^https?:$/.test(parsed.protocol))
    throw new DeadpeerError(
      "bad-option",
      `idleMs: "${String(url)}" is no origin; write for example https://example.com`,
    );
  return parsed.origin;
}
