import { DeadpeerError } from "../errors.js";
import { errnoName, errnoText } from "./errno.js";
import { syscallError } from "./libc.js";
import type { NetlinkChannel } from "./netlink-channel.js";
import { half, word } from "./word.js";

/** include/uapi/linux/netlink.h. */
const NLM_F_REQUEST = 0x1;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_DUMP = 0x300;
/** On NLMSG_ERROR and NLMSG_DONE. */
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSG_OVERRUN = 4;
/** Types below are netlink's own; those of the protocols begin here. */
const NLMSG_MIN_TYPE = 0x10;
const NLMSGERR_ATTR_MSG = 1;

/** struct nlmsghdr. */
export const netlinkHeader = { length: 0, type: 4, flags: 6, sequence: 8, port: 12, bytes: 16 } as const;
/** struct nlattr. */
const attribute = { length: 0, type: 2, bytes: 4 } as const;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER share the field with the type. */
const NLA_TYPE_MASK = 0x3fff;

/**
 * netlink_dump never puts more into one datagram than this, however large the buffer (netlink_recvmsg caps
 * max_recvmsg_len at 32 KiB), and puts less if the buffer is smaller.
 */
const batchBytes = 32_768;
/** Room for 32 batches: one allocation for some 2500 sockets with tcp_info. Pages that nothing is put into cost nothing. */
const chunkBytes = 32 * batchBytes;
/** A table that changes during every one of this many dumps is given as the last one found it. */
const attempts = 4;

/** Reads one message's payload, from `start` up to `end`, and appends what it holds. `bytes` stays as it is; it may be kept. */
export type MessageReader<T> = (bytes: Buffer, start: number, end: number, into: T[]) => void;

export interface Dump<T> {
  readonly items: T[];
  /** The kernel's table changed during every attempt; something may be missing or stand there twice. */
  readonly interrupted: boolean;
}

/**
 * Asks the kernel for a whole table and reads every message of the answer. A dump that was interrupted by changes, ran out of
 * buffer space or was cut off is made again, a bounded number of times. Answers with a foreign sequence or port number are
 * passed over.
 *
 * @param open is called once an attempt; the channel is closed after it, also on errors.
 * @throws DeadpeerError `netlink-protocol` for an answer that cannot be read; for an error that the kernel reports, what
 *   syscallError makes of it, with the kernel's own explanation if it gave one.
 */
export function dump<T>(
  open: () => NetlinkChannel,
  type: number,
  payload: Buffer,
  read: MessageReader<T>,
): Dump<T> {
  const sizes = { batch: batchBytes };
  for (let attempt = 1; ; attempt++) {
    const last = attempt === attempts;
    const items: T[] = [];
    try {
      using channel = open();
      const outcome = dumpOnce(channel, type, payload, sizes, (bytes, start, end) =>
        read(bytes, start, end, items),
      );
      if (outcome === "complete") return { items, interrupted: false };
      if (outcome === "interrupted" && last) return { items, interrupted: true };
      if (last) throw unreadable("its messages do not fit into any buffer");
    } catch (error) {
      if (last || !(error instanceof DeadpeerError) || error.errno !== "ENOBUFS") throw error;
    }
  }
}

type Outcome = "complete" | "interrupted" | "truncated";

function dumpOnce(
  channel: NetlinkChannel,
  type: number,
  payload: Buffer,
  sizes: { batch: number },
  read: (bytes: Buffer, start: number, end: number) => void,
): Outcome {
  const sequence = 1;
  channel.send(encodeRequest(type, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload));
  const state: BatchState = { sequence, port: channel.port, interrupted: false, read };
  let chunk = Buffer.alloc(0);
  let used = 0;
  for (;;) {
    if (chunk.length - used < sizes.batch) {
      chunk = Buffer.allocUnsafeSlow(Math.max(chunkBytes, sizes.batch));
      used = 0;
    }
    const length = channel.receive(chunk.subarray(used));
    if (length === null || length === 0) throw unreadable("it ended before it was complete");
    if (length > chunk.length - used) {
      sizes.batch = length;
      return "truncated";
    }
    if (readBatch(chunk, used, used + length, state)) return state.interrupted ? "interrupted" : "complete";
    // Messages are aligned to four bytes; keep the next datagram's so.
    used += align(length);
  }
}

/** One request with its header. */
export function encodeRequest(type: number, flags: number, sequence: number, payload: Buffer): Buffer {
  const message = Buffer.alloc(netlinkHeader.bytes + align(payload.length));
  message.writeUInt32LE(netlinkHeader.bytes + payload.length, netlinkHeader.length);
  message.writeUInt16LE(type, netlinkHeader.type);
  message.writeUInt16LE(flags, netlinkHeader.flags);
  message.writeUInt32LE(sequence, netlinkHeader.sequence);
  payload.copy(message, netlinkHeader.bytes);
  return message;
}

/** One attribute: its header, its value, and zeros up to the next multiple of four. */
export function encodeAttribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(align(attribute.bytes + value.length));
  bytes.writeUInt16LE(attribute.bytes + value.length, attribute.length);
  bytes.writeUInt16LE(type, attribute.type);
  value.copy(bytes, attribute.bytes);
  return bytes;
}

interface BatchState {
  readonly sequence: number;
  readonly port: number;
  interrupted: boolean;
  readonly read: (bytes: Buffer, start: number, end: number) => void;
}

/** Reads the messages of one datagram. @returns true once the dump is done. */
function readBatch(bytes: Buffer, start: number, end: number, state: BatchState): boolean {
  for (let offset = start; offset < end; ) {
    if (end - offset < netlinkHeader.bytes) throw unreadable("a message has no whole header");
    const length = word(bytes, offset + netlinkHeader.length);
    if (length < netlinkHeader.bytes || length > end - offset)
      throw unreadable(`a message of ${end - offset} bytes says that it has ${length}`);
    const expected =
      word(bytes, offset + netlinkHeader.sequence) === state.sequence &&
      word(bytes, offset + netlinkHeader.port) === state.port;
    if (expected) {
      const flags = half(bytes, offset + netlinkHeader.flags);
      const type = half(bytes, offset + netlinkHeader.type);
      if (type >= NLMSG_MIN_TYPE) {
        if ((flags & NLM_F_DUMP_INTR) !== 0) state.interrupted = true;
        state.read(bytes, offset + netlinkHeader.bytes, offset + length);
      } else if (readControl(bytes, offset, offset + length, type, flags)) {
        if (type === NLMSG_DONE && (flags & NLM_F_DUMP_INTR) !== 0) state.interrupted = true;
        return true;
      }
    }
    offset += align(length);
  }
  return false;
}

/** Reads one of netlink's own messages. @returns true if it ends the dump. */
function readControl(bytes: Buffer, offset: number, end: number, type: number, flags: number): boolean {
  if (type === NLMSG_OVERRUN) throw unreadable("the kernel says that it lost data");
  if (type !== NLMSG_ERROR && type !== NLMSG_DONE) return false;
  const payload = offset + netlinkHeader.bytes;
  // Kernels before 2.6.12 ended a dump without an error number.
  if (end - payload < 4) {
    if (type === NLMSG_DONE) return true;
    throw unreadable("an error message has no error number");
  }
  const errno = -bytes.readInt32LE(payload);
  if (errno === 0) return type === NLMSG_DONE;
  if (errno < 0) throw unreadable(`an error number of ${-errno}`);
  const explanation =
    (flags & NLM_F_ACK_TLVS) === 0 ? null : acknowledgementText(bytes, payload + 4, end, type, flags);
  const plain = syscallError(errno, "netlink dump");
  throw explanation === null
    ? plain
    : new DeadpeerError(
        plain.code,
        `netlink dump: ${errnoText(errno)} (${errnoName(errno)}): ${explanation}`,
        {
          operation: "netlink dump",
          errno: errnoName(errno),
        },
      );
}

/** What the kernel says in words about an error (NETLINK_EXT_ACK); null if it says nothing. */
function acknowledgementText(
  bytes: Buffer,
  offset: number,
  end: number,
  type: number,
  flags: number,
): string | null {
  let start = offset;
  if (type === NLMSG_ERROR) {
    // The request follows: its header alone if capped, else all of it.
    if (end - start < netlinkHeader.bytes) return null;
    start +=
      (flags & NLM_F_CAPPED) === 0
        ? align(bytes.readUInt32LE(start + netlinkHeader.length))
        : netlinkHeader.bytes;
  }
  const found = findAttribute(bytes, start, end, NLMSGERR_ATTR_MSG);
  if (found === null) return null;
  const text = bytes.toString("utf8", found.start, found.end).replace(/\0.*$/s, "").trim();
  return text === "" ? null : text;
}

/**
 * Where the value of the first attribute of a type lies, from `start` to `end`; null if there is none. Looks no further than the
 * first attribute that does not fit.
 */
export function findAttribute(
  bytes: Buffer,
  start: number,
  end: number,
  wanted: number,
): { start: number; end: number } | null {
  for (let offset = start; offset + attribute.bytes <= end; ) {
    const length = half(bytes, offset + attribute.length);
    if (length < attribute.bytes || length > end - offset) return null;
    const type = half(bytes, offset + attribute.type) & NLA_TYPE_MASK;
    if (type === wanted) return { start: offset + attribute.bytes, end: offset + length };
    offset += align(length);
  }
  return null;
}

function align(length: number): number {
  return (length + 3) & ~3;
}

function unreadable(problem: string): DeadpeerError {
  return new DeadpeerError("netlink-protocol", `the kernel's answer cannot be read: ${problem}`);
}
