import { AF_INET6 } from "./abi.js";
import { formatIpv4, formatIpv6, isMapped } from "./addresses.js";
import { findAttribute } from "./netlink.js";
import { viewTcpInfo, type TcpInfo } from "./tcp-info.js";
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
  /**
   * 0: no process holds it. It is in TIME_WAIT or SYN_RECV, was not accepted yet, or was closed by its program and still has
   * something to deliver.
   */
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
 * A socket over the bytes that the kernel sent; they must stay as they are. Each field is decoded when it is read: a list of
 * many thousand sockets then costs little more than the kernel's part of it, and objects that live as long as the list
 * (endpoints, timers) would keep the garbage collector busier than all the decoding.
 */
export class SocketRecord implements DiagSocket {
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;
  readonly #texts: AddressTexts;

  constructor(bytes: Buffer, start: number, end: number, texts: AddressTexts) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.#texts = texts;
  }

  get family(): 4 | 6 {
    return addressShape(this.#bytes, this.#start).family;
  }

  get mapped(): boolean {
    return addressShape(this.#bytes, this.#start).mapped;
  }

  get state(): TcpState {
    return stateFromNumber(this.#bytes[this.#start + diagMessage.state] as number);
  }

  get local(): DiagEndpoint {
    const { family, local } = addressShape(this.#bytes, this.#start);
    return this.#endpoint(family, local, diagMessage.localPort);
  }

  get remote(): DiagEndpoint {
    const { family, remote } = addressShape(this.#bytes, this.#start);
    return this.#endpoint(family, remote, diagMessage.remotePort);
  }

  get interfaceIndex(): number {
    return this.#u32(diagMessage.interfaceIndex);
  }

  get inode(): number {
    return this.#u32(diagMessage.inode);
  }

  get uid(): number {
    return this.#u32(diagMessage.uid);
  }

  get cookie(): bigint {
    return this.#bytes.readBigUInt64LE(this.#start + diagMessage.cookieLow);
  }

  get timer(): DiagTimer {
    return readTimer(this.#bytes, this.#start);
  }

  get receiveQueue(): number {
    return this.#u32(diagMessage.receiveQueue);
  }

  get sendQueue(): number {
    return this.#u32(diagMessage.sendQueue);
  }

  get info(): TcpInfo | null {
    const at = this.#attribute(INET_DIAG_INFO);
    return at === null ? null : viewTcpInfo(this.#bytes, at.start, at.end - at.start);
  }

  get cgroupId(): bigint | null {
    const at = this.#attribute(INET_DIAG_CGROUP_ID);
    return at === null || at.end - at.start < 8 ? null : this.#bytes.readBigUInt64LE(at.start);
  }

  /** What JSON.stringify prints; big integers as text. */
  toJSON(): Record<keyof DiagSocket, unknown> {
    const { family, mapped, state, local, remote, interfaceIndex, inode, uid, timer } = this;
    const { receiveQueue, sendQueue, info } = this;
    const cookie = String(this.cookie);
    const cgroupId = this.cgroupId === null ? null : String(this.cgroupId);
    return {
      family,
      mapped,
      state,
      local,
      remote,
      interfaceIndex,
      inode,
      uid,
      cookie,
      timer,
      receiveQueue,
      sendQueue,
      info,
      cgroupId,
    };
  }

  #endpoint(family: 4 | 6, address: number, port: number): DiagEndpoint {
    return {
      address: this.#texts.at(this.#bytes, address, family),
      port: this.#bytes.readUInt16BE(this.#start + port),
    };
  }

  #u32(field: number): number {
    return this.#bytes.readUInt32LE(this.#start + field);
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
