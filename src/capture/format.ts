import { DeadpeerError } from "../errors.js";

/** Who takes the packets out of a capture file, one call each: no object is made for a packet. */
export interface PacketSink {
  /**
   * The packet is `bytes` from `start` to `end`, valid during the call. `originalLength` is what was on the wire, of which a snap
   * length may have cut a part; `timeNs` counts from the capture's first packet.
   */
  packet(
    bytes: Uint8Array,
    start: number,
    end: number,
    originalLength: number,
    timeNs: number,
    linkType: number,
  ): void;
}

/** A capture file format: takes whole records out of bytes. */
export interface RecordParser {
  /** How many bytes, from where the last call stopped, the next record needs before it can be read. */
  readonly needed: number;
  /** What the bytes at the start of the next record are, for a message about a file that ends there. */
  readonly within: string;
  /** Reads the whole records between `start` and `end` and returns where the first one begins that is not whole. */
  parse(bytes: Uint8Array, start: number, end: number): number;
}

/**
 * The longest record that is believed. libpcap writes at most 256 KiB of a packet, for D-Bus and USB more; a larger length in a
 * file is damage, and would otherwise be waited for with all memory there is.
 */
export const longestRecord = 16 * 1024 * 1024;

/** @returns the error for bytes that no capture file can have there. */
export function badCapture(offset: number, found: string, expected: string): DeadpeerError {
  return new DeadpeerError("bad-capture", `at byte ${offset} of the capture: ${found}; expected ${expected}`);
}
