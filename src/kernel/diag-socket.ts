import { AF_INET6 } from "./abi.js";
import { formatIpv4, formatIpv6, isMapped } from "./addresses.js";
import { findAttribute } from "./netlink.js";
import { decodeTcpInfo, type TcpInfo } from "./tcp-info.js";
import { stateFromNumber, stateNumber, type TcpState } from "./tcp-states.js";

/** One TCP socket as the kernel's sock_diag shows it. */
export interface DiagSocket {
  /** 4 also for an IPv6 socket that talks IPv4; see `mapped`. */
  readonly family: 4 | 6;
  /** An IPv6 socket with IPv4-mapped addresses, which are shown as IPv4. */
  readonly mapped: boolean;
  readonly state: TcpState;
  readonly local: DiagEndpoint;
  readonly remote: DiagEndpoint;
  /** The interface that the socket is bound to or, with a link-local address, that the address belongs to; 0: none. */
  readonly interfaceIndex: number;
  /** 0: no process holds it (TIME_WAIT, SYN_RECV, or closed by its program and still in the kernel). */
  readonly inode: number;
  readonly uid: number;
  /** Unique while the machine runs, other than inode and descriptor numbers; SO_COOKIE reads the same. */
  readonly cookie: bigint;
  readonly timer: DiagTimer;
  /** Bytes not yet read by the program; on a listener, connections waiting for accept. */
  readonly receiveQueue: number;
  /** Bytes not yet acknowledged by the peer; on a listener, how many connections may wait for accept. */
  readonly sendQueue: number;
  /** null unless asked for, and for sockets that have none (TIME_WAIT, SYN_RECV). */
  readonly info: TcpInfo | null;
  /** The inode number of the cgroup v2 directory that the socket was made in; null where the kernel gives none (before 5.7). */
  readonly cgroupId: bigint | null;
}

export interface DiagEndpoint {
  readonly address: string;
  readonly port: number;
}

export interface DiagTimer {
  /**
   * `retransmit`: data or a FIN, a tail loss probe, or in SYN_RECV the SYN-ACK. `time-wait`: until the kernel forgets the
   * connection. `zero-window`: the next window probe.
   */
  readonly kind: "none" | "retransmit" | "keepalive" | "time-wait" | "zero-window";
  readonly expiresMs: number;
  /** Retransmissions, or unanswered probes, so far. */
  readonly retransmits: number;
}

/** Attributes that follow a description (INET_DIAG_*); others are passed over. */
export const INET_DIAG_INFO = 2;
const INET_DIAG_CGROUP_ID = 21;

/** struct inet_diag_msg. Ports and addresses are in network order, the rest in the machine's. */
export const diagMessage = {
  family: 0,
  state: 1,
  timer: 2,
  retransmits: 3,
  localPort: 4,
  remotePort: 6,
  localAddress: 8,
  remoteAddress: 24,
  interfaceIndex: 40,
  cookieLow: 44,
  cookieHigh: 48,
  expires: 52,
  receiveQueue: 56,
  sendQueue: 60,
  uid: 64,
  inode: 68,
  bytes: 72,
} as const;

/** Where the IPv4 part of a mapped address begins. */
const mappedOffset = 12;

const FIN_WAIT2 = stateNumber("FIN_WAIT2");

/** Where a socket's addresses lie, and as which family they are shown. */
export interface AddressShape {
  readonly family: 4 | 6;
  readonly mapped: boolean;
  /** Where the addresses lie. */
  readonly local: number;
  readonly remote: number;
}

export function addressShape(bytes: Buffer, start: number): AddressShape {
  const local = start + diagMessage.localAddress;
  const remote = start + diagMessage.remoteAddress;
  if (bytes[start + diagMessage.family] !== AF_INET6) return { family: 4, mapped: false, local, remote };
  const mapped = isMapped(bytes, local) || isMapped(bytes, remote);
  if (!mapped) return { family: 6, mapped, local, remote };
  return { family: 4, mapped, local: local + mappedOffset, remote: remote + mappedOffset };
}

/**
 * A socket over the bytes that the kernel sent. What nearly everyone reads is decoded at once; the rest on its first use, so
 * that listing many thousand sockets costs no more than what is looked at.
 */
export class SocketRecord implements DiagSocket {
  readonly family: 4 | 6;
  readonly mapped: boolean;
  readonly state: TcpState;
  readonly local: DiagEndpoint;
  readonly remote: DiagEndpoint;
  readonly interfaceIndex: number;
  readonly inode: number;
  readonly uid: number;
  readonly timer: DiagTimer;
  readonly receiveQueue: number;
  readonly sendQueue: number;
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;
  #info: TcpInfo | null | undefined;

  constructor(bytes: Buffer, start: number, end: number, texts: AddressTexts) {
    const shape = addressShape(bytes, start);
    this.family = shape.family;
    this.mapped = shape.mapped;
    this.state = stateFromNumber(bytes[start + diagMessage.state] as number);
    this.local = {
      address: texts.at(bytes, shape.local, shape.family),
      port: bytes.readUInt16BE(start + diagMessage.localPort),
    };
    this.remote = {
      address: texts.at(bytes, shape.remote, shape.family),
      port: bytes.readUInt16BE(start + diagMessage.remotePort),
    };
    this.interfaceIndex = bytes.readUInt32LE(start + diagMessage.interfaceIndex);
    this.inode = bytes.readUInt32LE(start + diagMessage.inode);
    this.uid = bytes.readUInt32LE(start + diagMessage.uid);
    this.timer = readTimer(bytes, start);
    this.receiveQueue = bytes.readUInt32LE(start + diagMessage.receiveQueue);
    this.sendQueue = bytes.readUInt32LE(start + diagMessage.sendQueue);
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
  }

  get cookie(): bigint {
    return this.#bytes.readBigUInt64LE(this.#start + diagMessage.cookieLow);
  }

  get info(): TcpInfo | null {
    if (this.#info === undefined) {
      const at = this.#attribute(INET_DIAG_INFO);
      this.#info = at === null ? null : decodeTcpInfo(this.#bytes, at.start, at.end - at.start);
    }
    return this.#info;
  }

  get cgroupId(): bigint | null {
    const at = this.#attribute(INET_DIAG_CGROUP_ID);
    return at === null || at.end - at.start < 8 ? null : this.#bytes.readBigUInt64LE(at.start);
  }

  #attribute(wanted: number): { start: number; end: number } | null {
    return findAttribute(this.#bytes, this.#start + diagMessage.bytes, this.#end, wanted);
  }
}

/** idiag_timer's values: inet_csk_diag_fill, inet_twsk_diag_fill and inet_req_diag_fill in net/ipv4/inet_diag.c. */
const timerKinds: readonly DiagTimer["kind"][] = [
  "none",
  "retransmit",
  "keepalive",
  "time-wait",
  "zero-window",
];
const KEEPALIVE_TIMER = 2;
const noTimer: DiagTimer = { kind: "none", expiresMs: 0, retransmits: 0 };

function readTimer(bytes: Buffer, start: number): DiagTimer {
  const number = bytes[start + diagMessage.timer] as number;
  if (number === 0) return noTimer;
  const orphanedFinWait2 =
    number === KEEPALIVE_TIMER &&
    bytes[start + diagMessage.state] === FIN_WAIT2 &&
    bytes.readUInt32LE(start + diagMessage.inode) === 0;
  return {
    // The keepalive timer of a socket that its program has closed waits for the peer's FIN instead (tcp_keepalive_timer).
    kind: orphanedFinWait2 ? "time-wait" : (timerKinds[number] ?? "none"),
    expiresMs: bytes.readUInt32LE(start + diagMessage.expires),
    retransmits: bytes[start + diagMessage.retransmits] as number,
  };
}

/** Each address's text once: many thousand sockets share few addresses. */
export class AddressTexts {
  readonly #v4 = new Map<number, string>();
  readonly #v6 = new Map<string, string>();

  at(bytes: Buffer, offset: number, family: 4 | 6): string {
    return family === 4
      ? remember(this.#v4, bytes.readUInt32BE(offset), () => formatIpv4(bytes, offset))
      : remember(this.#v6, bytes.toString("latin1", offset, offset + 16), () => formatIpv6(bytes, offset));
  }
}

function remember<K>(texts: Map<K, string>, key: K, format: () => string): string {
  const known = texts.get(key);
  if (known !== undefined) return known;
  const text = format();
  texts.set(key, text);
  return text;
}
