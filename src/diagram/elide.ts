import type { SequenceElision, SequenceItem } from "./sequence.js";

/** A pattern that is repeated is drawn this often before and after what is left out of it. */
const shownBefore = 2;
const shownAfter = 1;
/** Less than this is not worth leaving out: the line that says so takes room too. */
const fewestLeftOut = 3;
/** A probe and its answer are a pattern of two; a request with its answer and two acknowledgements one of four. */
const longestPattern = 4;

/**
 * Leaves out what only repeats, then what does not fit, and says in its place what was left out. Notes and frames that are to be
 * kept always stay.
 *
 * @param most how many items are drawn at most, but for those that always stay.
 */
export function elide(items: readonly SequenceItem[], most: number): SequenceItem[] {
  return cutMiddle(elideRepetition(items), most);
}

/** How many frames an item stands for. */
export function framesIn(item: SequenceItem): number {
  if (item.type === "note") return 0;
  if (item.type === "frame") return 1;
  let frames = 0;
  for (const count of item.counts.values()) frames += count;
  return frames;
}

function elideRepetition(items: readonly SequenceItem[]): SequenceItem[] {
  const kept: SequenceItem[] = [];
  for (let at = 0; at < items.length; ) {
    const { length, times } = longestRepetition(items, at);
    const leftOut = (times - shownBefore - shownAfter) * length;
    if (leftOut < fewestLeftOut) {
      kept.push(items[at++] as SequenceItem);
      continue;
    }
    const from = at + shownBefore * length;
    const end = at + times * length;
    kept.push(...items.slice(at, from), summary(items.slice(from, from + leftOut)));
    kept.push(...items.slice(from + leftOut, end));
    at = end;
  }
  return kept;
}

function longestRepetition(items: readonly SequenceItem[], at: number): { length: number; times: number } {
  let best = { length: 1, times: 1 };
  for (let length = 1; length <= longestPattern; length++) {
    let times = 1;
    while (repeats(items, at, at + times * length, length)) times++;
    if (times > shownBefore + shownAfter && times * length > best.times * best.length)
      best = { length, times };
  }
  return best;
}

function repeats(items: readonly SequenceItem[], first: number, again: number, length: number): boolean {
  for (let index = 0; index < length; index++)
    if (!alike(items[first + index], items[again + index])) return false;
  return true;
}

function alike(one: SequenceItem | undefined, other: SequenceItem | undefined): boolean {
  if (one?.type !== "frame" || other?.type !== "frame") return false;
  if (one.keep === true || other.keep === true) return false;
  return one.from === other.from && one.what === other.what && one.fate === other.fate;
}

/** What came first and what came last tell most; of the two the end tells more. */
function cutMiddle(items: readonly SequenceItem[], most: number): SequenceItem[] {
  if (items.length <= most) return [...items];
  const first = Math.floor(most / 3);
  const last = items.length - (most - first);
  const kept: SequenceItem[] = [];
  let run: SequenceItem[] = [];
  const flush = (): void => {
    if (run.length > 0) kept.push(summary(run));
    run = [];
  };
  for (const [index, item] of items.entries()) {
    const stays = index < first || index >= last || item.type === "note" || isKept(item);
    if (!stays) run.push(item);
    else {
      flush();
      kept.push(item);
    }
  }
  flush();
  return kept;
}

function isKept(item: SequenceItem): boolean {
  return item.type === "frame" && item.keep === true;
}

function summary(items: readonly SequenceItem[]): SequenceElision {
  const counts = new Map<string, number>();
  const add = (what: string, count: number): unknown => counts.set(what, (counts.get(what) ?? 0) + count);
  let untilMs = 0;
  for (const item of items) {
    untilMs = item.type === "elided" ? item.untilMs : item.timeMs;
    if (item.type === "frame") add(item.what, 1);
    else if (item.type === "elided") for (const [what, count] of item.counts) add(what, count);
  }
  return { type: "elided", timeMs: items[0]?.timeMs ?? 0, untilMs, counts };
}
