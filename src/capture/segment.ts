import { i32, u16 } from "./bytes.js";
import { noTime } from "./no-time.js";
import type { Unreadable } from "./network-layer.js";

/** TCP's control bits (RFC 9293 section 3.1). */
export const flag = { fin: 0x01, syn: 0x02, rst: 0x04, push: 0x08, ack: 0x10 } as const;

/** The bits that make a segment something other than data and acknowledgement. */
export const control = flag.syn | flag.fin | flag.rst;

/** TCP options (RFC 9293 section 3.2, RFC 7323). */
const option = { end: 0, nop: 1, windowScale: 3 } as const;

const header = {
  sourcePort: 0,
  destinationPort: 2,
  seq: 4,
  ack: 8,
  length: 12,
  flags: 13,
  window: 14,
} as const;
const shortestHeader = 20;
/** RFC 7323 section 2.3: a larger shift counts as 14. */
const largestShift = 14;

/** One TCP segment, read into the same object again and again. Sequence numbers are signed 32-bit, to be compared by difference. */
export class Segment {
  /** Counted from 1, as Wireshark does. */
  frame = 0;
  timeNs = noTime;
  sourcePort = 0;
  destinationPort = 0;
  seq = 0;
  ack = 0;
  flags = 0;
  window = 0;
  /** Bytes of data on the wire, even if the snap length cut them off. */
  length = 0;
  /** Bytes of the whole IP packet, for what keepalive costs. */
  wireBytes = 0;
  /** The shift that a SYN offers; -1: none. */
  windowShift = -1;

  /** @returns null if the segment could be read. */
  read(bytes: Uint8Array, at: number, end: number, payloadLength: number): Unreadable | null {
    // What a packet does not have was not cut off.
    if (payloadLength < shortestHeader) return "malformed";
    if (at + shortestHeader > end) return "cut";
    const headerLength = ((bytes[at + header.length] as number) >>> 4) * 4;
    if (headerLength < shortestHeader || headerLength > payloadLength) return "malformed";
    this.sourcePort = u16(bytes, at + header.sourcePort);
    this.destinationPort = u16(bytes, at + header.destinationPort);
    this.seq = i32(bytes, at + header.seq);
    this.ack = i32(bytes, at + header.ack);
    this.flags = bytes[at + header.flags] as number;
    this.window = u16(bytes, at + header.window);
    this.length = payloadLength - headerLength;
    this.windowShift =
      (this.flags & flag.syn) === 0
        ? -1
        : windowShiftOf(bytes, at + shortestHeader, Math.min(at + headerLength, end));
    return null;
  }
}

function windowShiftOf(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; ) {
    const kind = bytes[at] as number;
    if (kind === option.end) break;
    if (kind === option.nop) {
      at++;
      continue;
    }
    const length = at + 1 < end ? (bytes[at + 1] as number) : 0;
    if (length < 2) break;
    if (kind === option.windowScale && length === 3 && at + 2 < end)
      return Math.min(bytes[at + 2] as number, largestShift);
    at += length;
  }
  return -1;
}
