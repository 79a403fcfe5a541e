import { DeadpeerError } from "../errors.js";

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const part = /(\d+(?:\.\d+)?)(ms|min|s|m|h|d)/gy;

/**
 * Reads a duration as people write it: `"35s"`, `"10m"`, `"1h30m"`, `"1.5s"`, `"500ms"`; a bare `"0"` is allowed. Result in
 * whole milliseconds.
 *
 * @param what names the thing in the error, e.g. `--detect`.
 * @throws DeadpeerError `bad-duration`: without a unit, with an unknown one, negative or empty.
 * @example parseDuration("1m30s", "--detect") // 90000
 */
export function parseDuration(text: string, what: string): number {
  const trimmed = text.trim();
  if (trimmed === "0") return 0;
  const refuse = (problem: string): DeadpeerError =>
    new DeadpeerError("bad-duration", `${what}: ${problem}; write for example 35s, 10m, 1h30m or 500ms`);
  if (trimmed === "") throw refuse("a duration is missing");
  if (/^\d+(\.\d+)?$/.test(trimmed)) throw refuse(`"${trimmed}" has no unit`);
  if (trimmed.startsWith("-")) throw refuse(`"${trimmed}" is negative`);

  let total = 0;
  part.lastIndex = 0;
  let end = 0;
  for (let match = part.exec(trimmed); match !== null; match = part.exec(trimmed)) {
    total += Number(match[1]) * (unitMs[match[2] ?? ""] ?? Number.NaN);
    end = part.lastIndex;
  }
  if (end !== trimmed.length) throw refuse(`"${trimmed}" is not a duration`);
  const ms = Math.round(total);
  if (!Number.isSafeInteger(ms)) throw refuse(`"${trimmed}" is too long`);
  return ms;
}

/**
 * A duration given as text or as a number of milliseconds, as the library's options take it.
 *
 * @throws DeadpeerError `bad-duration`: for text see `parseDuration`; a number that is negative or not finite; anything else.
 * @example durationMs("35s", "detectWithin") // 35000
 */
export function durationMs(value: string | number, what: string): number {
  if (typeof value === "string") return parseDuration(value, what);
  if (typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value;
  throw new DeadpeerError(
    "bad-duration",
    `${what}: ${String(value)} is no duration; give text such as "35s" or milliseconds from 0 on`,
  );
}

/**
 * Writes milliseconds for people, exactly where that is short and rounded where it is not: `35s`, `1m 30s`, `2h 11m 15s`,
 * `15m 25s`, `never`.
 *
 * @example formatDuration(7_875_000) // "2h 11m 15s"
 */
export function formatDuration(ms: number | null): string {
  if (ms === null) return "never";
  if (ms < 999.5) return `${Math.round(ms)}ms`;
  if (ms < 59_950) return `${Number((ms / 1_000).toFixed(1))}s`;
  const seconds = Math.round(ms / 1_000);
  const parts: string[] = [];
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3_600);
  const minutes = Math.floor((seconds % 3_600) / 60);
  if (days > 0) parts.push(`${days}d`);
  if (hours > 0) parts.push(`${hours}h`);
  if (minutes > 0) parts.push(`${minutes}m`);
  if (seconds % 60 > 0 && days === 0) parts.push(`${seconds % 60}s`);
  return parts.join(" ");
}
