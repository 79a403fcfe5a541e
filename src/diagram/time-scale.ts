import type { SequenceItem } from "./sequence.js";

/** Shorter waits are not to be seen: frames that belong together stand together. */
const shortestMs = 50;
/** A wait longer than this is written out rather than drawn to scale. */
const longestUnitMs = 20_000;
const unitPx = 30;
/** Beyond this many units a wait is cut short, and the cut marked. */
const mostUnits = 2.5;
const brokenPx = 44;

/** The room between two items. */
export interface Gap {
  readonly px: number;
  readonly ms: number;
  /** Drawn shorter than it was. */
  readonly broken: boolean;
}

/**
 * How far apart items are drawn: in proportion to the time between them, with the usual wait of this sequence as the unit, and
 * long waits cut short. The gap before the first item is 0.
 */
export function gapsBetween(items: readonly SequenceItem[]): Gap[] {
  const waits = items.map((item, index) => waitBefore(items, item, index));
  const unitMs = usualWait(waits);
  return waits.map((ms) => {
    if (ms < shortestMs) return { px: 0, ms, broken: false };
    const units = ms / unitMs;
    return units > mostUnits ? { px: brokenPx, ms, broken: true } : { px: units * unitPx, ms, broken: false };
  });
}

/** Clocks that step back leave no gap. */
function waitBefore(items: readonly SequenceItem[], item: SequenceItem, index: number): number {
  const before = items[index - 1];
  if (before === undefined) return 0;
  return Math.max(0, item.timeMs - (before.type === "elided" ? before.untilMs : before.timeMs));
}

function usualWait(waits: readonly number[]): number {
  const long = waits.filter((ms) => ms >= shortestMs).sort((one, other) => one - other);
  const median = long[Math.floor((long.length - 1) / 2)] ?? shortestMs;
  return Math.min(median, longestUnitMs);
}

const tenHoursMs = 36_000_000;

/**
 * Writes moments of one diagram, all in the form that the latest of them needs: `12.345 s`, `2:05.345`,
 * `1:02:05.345` or `25:02:05`.
 */
export function momentFormat(latestMs: number): (ms: number) => string {
  return (ms) => {
    const whole = Math.round(Math.abs(ms));
    const sign = ms < 0 && whole > 0 ? "\u2212" : "";
    const fraction = String(whole % 1_000).padStart(3, "0");
    const seconds = Math.floor(whole / 1_000);
    if (latestMs < 60_000) return `${sign}${seconds}.${fraction} s`;
    const minutes = Math.floor(seconds / 60);
    if (latestMs < 3_600_000) return `${sign}${minutes}:${two(seconds % 60)}.${fraction}`;
    const hours = `${sign}${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
    return latestMs < tenHoursMs ? `${hours}.${fraction}` : hours;
  };
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
