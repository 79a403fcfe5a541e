import { DeadpeerError } from "../../errors.js";
import { word } from "../word.js";
import { parseFields } from "./event-format.js";

/** Where the parts of a page of the ring buffer lie (struct buffer_data_page), as `events/header_page` says. */
export interface PageLayout {
  readonly timestamp: number;
  readonly commit: number;
  readonly data: number;
  /** The whole page. */
  readonly bytes: number;
}

/**
 * Reads `events/header_page`, and checks with `events/header_event` that records are packed as below.
 *
 * @throws DeadpeerError `feature-missing` for a kernel that does it otherwise.
 */
export function parsePageLayout(headerPage: string, headerEvent: string): PageLayout {
  const fields = parseFields(headerPage);
  const [timestamp, commit, data] = ["timestamp", "commit", "data"].map((name) => fields.get(name));
  const packed = [
    /type_len\s*:\s*5 bits/,
    /time_delta\s*:\s*27 bits/,
    new RegExp(`padding\\s*: type == ${PADDING}\\b`),
    new RegExp(`time_extend\\s*: type == ${TIME_EXTEND}\\b`),
    new RegExp(`data max type_len\\s*== ${longestShort}\\b`),
  ].every((rule) => rule.test(headerEvent));
  if (timestamp?.size !== 8 || commit?.size !== 8 || data === undefined || !packed)
    throw new DeadpeerError("feature-missing", "this kernel packs its trace buffer in an unknown way");
  return {
    timestamp: timestamp.offset,
    commit: commit.offset,
    data: data.offset,
    bytes: data.offset + data.size,
  };
}

/**
 * struct ring_buffer_event, include/linux/ring_buffer.h: 5 bits of type or length, 27 bits of time since the record before, then
 * words.
 */
const PADDING = 29;
const TIME_EXTEND = 30;
const TIME_STAMP = 31;
/** Up to this a type is the length in words; 0: the first word is the length in bytes, and counts itself. */
const longestShort = 28;
const headerBytes = 4;
const deltaUnit = 32;
const extendUnit = 2 ** 27;

/** Of a page's commit word, kernel/trace/ring_buffer.c. */
const RB_MISSED_EVENTS = 0x8000_0000;
const RB_MISSED_STORED = 0x4000_0000;
const COMMIT_MASK = 0x7ff_ffff;

/** Told of a record: when, in nanoseconds of the buffer's clock, and where it lies. The bytes are used again afterwards. */
export type RecordVisitor = (timeNs: number, at: number, end: number) => void;

/**
 * Walks through the records of one page. Nanoseconds are a double, exact for 104 days after boot and to a few nanoseconds after.
 *
 * @param length how much of `bytes` the kernel has filled.
 * @returns how many records the kernel had to throw away just before this page: 0 none, -1 some, and it does not say how many.
 * @throws DeadpeerError `feature-missing` for a page that contradicts itself.
 */
export function walkPage(bytes: Buffer, length: number, layout: PageLayout, visit: RecordVisitor): number {
  if (length < layout.data) throw contradiction("it is shorter than its header");
  const commit = word(bytes, layout.commit);
  const end = layout.data + (commit & COMMIT_MASK);
  if (end > length) throw contradiction(`${commit & COMMIT_MASK} bytes in a page of ${length}`);
  let timeNs = word(bytes, layout.timestamp) + word(bytes, layout.timestamp + 4) * 0x1_0000_0000;
  for (let at = layout.data; at + headerBytes <= end; ) {
    const head = word(bytes, at);
    const type = head & 31;
    const delta = Math.floor(head / deltaUnit);
    const body = at + headerBytes;
    if (type === PADDING && delta === 0) break;
    const isLong = type === 0 || type >= PADDING;
    if (isLong && body + headerBytes > end) throw contradiction("a record has no whole header");
    const first = isLong ? word(bytes, body) : 0;
    if (type === TIME_STAMP) timeNs = first * extendUnit + delta;
    else if (type === TIME_EXTEND) timeNs += first * extendUnit + delta;
    // What was thrown away does not count (rb_update_read_stamp).
    else if (type !== PADDING) timeNs += delta;
    const next =
      body + (type === TIME_EXTEND || type === TIME_STAMP ? headerBytes : isLong ? first : type * 4);
    if (next > end || next < body) throw contradiction(`a record ends at ${next} of ${end}`);
    if (type < PADDING) visit(timeNs, isLong ? body + headerBytes : body, next);
    at = next;
  }
  if ((commit & RB_MISSED_EVENTS) === 0) return 0;
  return (commit & RB_MISSED_STORED) !== 0 && end + 8 <= length ? word(bytes, end) : -1;
}

function contradiction(problem: string): DeadpeerError {
  return new DeadpeerError("feature-missing", `the kernel's trace buffer cannot be read: ${problem}`);
}
