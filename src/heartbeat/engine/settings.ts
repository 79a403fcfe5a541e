import { DeadpeerError } from "../../errors.js";
import { durationMs } from "../../plan/duration.js";
import { planDetection } from "../../plan/planner.js";
import { longestMs } from "../protocol/message.js";
import type { BeatSettings } from "./engine.js";

/**
 * Ready settings for a peer that answers. `normal` notices its death within 30 to 40 s, `demanding` within 6 to 9 s; which moment of
 * these, the session's phase decides.
 */
export const profiles = {
  normal: { idleMs: 25_000, intervalMs: 5_000, count: 3 },
  demanding: { idleMs: 4_500, intervalMs: 1_500, count: 3 },
} as const;

export type Profile = keyof typeof profiles;

/** How a user asks for heartbeats: by a profile, by the time within which a dead peer must be noticed, or one by one. */
export type Wanted =
  | Profile
  | { readonly detectWithin: string | number; readonly path?: readonly string[] }
  | { readonly idle: string | number; readonly interval: string | number; readonly count: number };

/**
 * The settings that a wish means.
 *
 * @param peer what the peer's protocol can do; by default it answers, and was promised nothing.
 * @throws DeadpeerError `bad-option`, `bad-duration`; for a time to detect what `planDetection` throws.
 * @example beatSettings({ detectWithin: "35s", path: ["aws-nlb"] }).idleMs
 */
export function beatSettings(
  wanted: Wanted,
  { sendEveryMs = null, answers = true }: Partial<Pick<BeatSettings, "sendEveryMs" | "answers">> = {},
): BeatSettings {
  return checkBeatSettings({ ...times(wanted), sendEveryMs, answers });
}

function times(wanted: Wanted): Pick<BeatSettings, "idleMs" | "intervalMs" | "count"> {
  if (typeof wanted === "string") {
    if (Object.hasOwn(profiles, wanted)) return profiles[wanted];
    throw new DeadpeerError(
      "bad-option",
      `there is no profile "${wanted as string}"; take one of ${Object.keys(profiles).join(", ")}`,
    );
  }
  if ("detectWithin" in wanted) {
    const { keepalive } = planDetection(wanted).settings;
    // A plan always has keepalive; the type also describes sockets without.
    if (keepalive !== null) return keepalive;
  }
  const { idle, interval, count } = wanted as Extract<Wanted, { count: number }>;
  return { idleMs: durationMs(idle, "idle"), intervalMs: durationMs(interval, "interval"), count };
}

/**
 * The settings for a peer that has promised to be heard so often: this side is patient for so long, and some time more.
 *
 * @param peerSendsEveryMs 0: it has promised nothing.
 */
export function patientWith(settings: BeatSettings, peerSendsEveryMs: number): BeatSettings {
  if (peerSendsEveryMs === 0) return settings;
  const idleMs = Math.max(settings.idleMs, peerSendsEveryMs + settings.intervalMs);
  return { ...settings, idleMs, peerSendsEveryMs };
}

/**
 * @returns the same settings.
 * @throws DeadpeerError `bad-option` with the name of the one that cannot be.
 */
export function checkBeatSettings(settings: BeatSettings): BeatSettings {
  const { idleMs, intervalMs, count, sendEveryMs } = settings;
  if (!(intervalMs > 0)) throw refuse(`interval: ${intervalMs} ms leaves the peer no time to answer`);
  if (!(idleMs >= intervalMs))
    throw refuse(`idle: ${idleMs} ms is less than the interval of ${intervalMs} ms between beats`);
  if (!Number.isInteger(count) || count < 1)
    throw refuse(`count: ${count} is not a number of unanswered beats; give 1 or more`);
  if (idleMs + intervalMs * count > longestMs)
    throw refuse(
      `idle, interval, count: ${idleMs + intervalMs * count} ms in all are more than ${longestMs} ms`,
    );
  if (sendEveryMs !== null && !(sendEveryMs >= intervalMs))
    throw refuse(
      `what was promised to the peer, something every ${sendEveryMs} ms, is less than the interval of ${intervalMs} ms between beats`,
    );
  return settings;
}

function refuse(problem: string): DeadpeerError {
  return new DeadpeerError("bad-option", problem);
}
