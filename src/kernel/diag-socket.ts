import { AF_INET6 } from "./abi.js";
import { formatIpv6, isMapped } from "./addresses.js";
import { findAttribute } from "./netlink.js";
import { type TcpInfo, tcpInfoLayout, viewTcpInfo } from "./tcp-info.js";
import { stateFromNumber, type TcpState } from "./tcp-states.js";
import { word as readWord } from "./word.js";

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
  /** The younger of the last data and the last acknowledgement in `info`; null without it. */
  readonly lastReceivedMs: number | null;
  /**
   * What the socket is in the midst of, as a number: the same for sockets that agree in state, kind of timer, retransmissions, in
   * whether a process holds them, whether anything is queued to send, and whether the peer's window is closed.
   */
  readonly situation: number;
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
  readonly kind: (typeof timerKinds)[number];
  readonly expiresMs: number;
  /** Retransmissions, or unanswered probes, so far. */
  readonly retransmits: number;
}

/** Which socket is meant, in the kernel's own words. */
export interface DiagIdentity {
  /** The kernel's number: AF_INET6 also for an IPv6 socket that talks IPv4. */
  readonly family: number;
  /** struct inet_diag_sockid: ports, addresses, interface and cookie. */
  readonly id: Buffer;
  readonly listening: boolean;
}

/** Attributes that follow a description (INET_DIAG_*); others are passed over. */
export const INET_DIAG_INFO = 2;
const INET_DIAG_ULP_INFO = 19;
const INET_DIAG_CGROUP_ID = 21;
/** Within INET_DIAG_ULP_INFO. */
const INET_ULP_INFO_NAME = 1;
/** struct nlattr: the length and the type, which shares its field with flags. */
const attributeHeader = 4;
const NLA_TYPE_MASK = 0x3fff;
/** Where these lie in struct tcp_info. */
const dataReceived = tcpInfoLayout.lastDataRecvMs[1];
const ackReceived = tcpInfoLayout.lastAckRecvMs[1];

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

/** The same by words. */
const word = {
  ports: diagMessage.localPort >> 2,
  localAddress: diagMessage.localAddress >> 2,
  remoteAddress: diagMessage.remoteAddress >> 2,
  interfaceIndex: diagMessage.interfaceIndex >> 2,
  cookieLow: diagMessage.cookieLow >> 2,
  cookieHigh: diagMessage.cookieHigh >> 2,
  expires: diagMessage.expires >> 2,
  receiveQueue: diagMessage.receiveQueue >> 2,
  sendQueue: diagMessage.sendQueue >> 2,
  uid: diagMessage.uid >> 2,
  inode: diagMessage.inode >> 2,
} as const;

/** Where the IPv4 part of a mapped address begins. */
const mappedOffset = 12;

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

/** A buffer that the kernel has filled, by bytes and by words; its messages and attributes begin at multiples of four. */
export interface DiagBuffer {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
}

/**
 * A socket as the kernel described it in a buffer that must stay as it is. Each field is decoded when it is read, by as little code
 * as possible: a dump of many thousand is over before much code would have been compiled. One record may be led over all of them,
 * which spares an object each.
 */
export class SocketRecord implements DiagSocket {
  private bytes: Buffer;
  private words: Uint32Array;
  /** Where the message begins and ends, in bytes; `first` is its first word. */
  private start = 0;
  private end = 0;
  private first = 0;
  private readonly texts: AddressTexts;

  constructor(buffer: DiagBuffer, start: number, end: number, texts: AddressTexts) {
    this.bytes = buffer.bytes;
    this.words = buffer.words;
    this.texts = texts;
    this.moveTo(buffer, start, end);
  }

  /** Shows another socket from now on. */
  moveTo(buffer: DiagBuffer, start: number, end: number): void {
    this.bytes = buffer.bytes;
    this.words = buffer.words;
    this.start = start;
    this.end = end;
    this.first = start >> 2;
  }

  get family(): 4 | 6 {
    return this.isIpv4 ? 4 : addressShape(this.bytes, this.start).family;
  }

  get mapped(): boolean {
    return addressShape(this.bytes, this.start).mapped;
  }

  get state(): TcpState {
    return stateFromNumber(((this.words[this.first] as number) >>> 8) & 0xff);
  }

  get local(): DiagEndpoint {
    return { address: this.localAddress, port: this.localPort };
  }

  get remote(): DiagEndpoint {
    return { address: this.remoteAddress, port: this.remotePort };
  }

  get localAddress(): string {
    return this.isIpv4
      ? this.texts.v4(this.words[this.first + word.localAddress] as number)
      : this.addressAt(addressShape(this.bytes, this.start).local);
  }

  get remoteAddress(): string {
    return this.isIpv4
      ? this.texts.v4(this.words[this.first + word.remoteAddress] as number)
      : this.addressAt(addressShape(this.bytes, this.start).remote);
  }

  get localPort(): number {
    return networkOrder((this.words[this.first + word.ports] as number) & 0xffff);
  }

  get remotePort(): number {
    return networkOrder((this.words[this.first + word.ports] as number) >>> 16);
  }

  get interfaceIndex(): number {
    return this.words[this.first + word.interfaceIndex] as number;
  }

  get inode(): number {
    return this.words[this.first + word.inode] as number;
  }

  get uid(): number {
    return this.words[this.first + word.uid] as number;
  }

  get cookie(): bigint {
    return this.bytes.readBigUInt64LE(this.start + diagMessage.cookieLow);
  }

  /** The cookie as a number, or in decimal if it is too large for one: most are small, and a number costs least. */
  get plainCookie(): number | string {
    const high = this.words[this.first + word.cookieHigh] as number;
    const low = this.words[this.first + word.cookieLow] as number;
    return high < 0x20_0000 ? high * 0x1_0000_0000 + low : String(this.cookie);
  }

  get timer(): DiagTimer {
    const number = ((this.words[this.first] as number) >>> 16) & 0xff;
    if (number === 0) return noTimer;
    const orphanedFinWait2 = number === KEEPALIVE_TIMER && this.state === "FIN_WAIT2" && this.inode === 0;
    return {
      // The keepalive timer of a socket that its program has closed waits for the peer's FIN instead (tcp_keepalive_timer).
      kind: orphanedFinWait2 ? "time-wait" : (timerKinds[number] ?? "none"),
      expiresMs: this.expiresMs,
      retransmits: this.retransmits,
    };
  }

  get expiresMs(): number {
    return this.words[this.first + word.expires] as number;
  }

  get retransmits(): number {
    return (this.words[this.first] as number) >>> 24;
  }

  get receiveQueue(): number {
    return this.words[this.first + word.receiveQueue] as number;
  }

  get sendQueue(): number {
    return this.words[this.first + word.sendQueue] as number;
  }

  get info(): TcpInfo | null {
    const at = this.attribute(INET_DIAG_INFO);
    return at < 0 ? null : viewTcpInfo(this.bytes, at, valueLength(this.words, at));
  }

  get lastReceivedMs(): number | null {
    const at = this.attribute(INET_DIAG_INFO);
    return at < 0 ? null : lastReceivedAt(this.words, at);
  }

  get situation(): number {
    const sends = this.sendQueue > 0;
    return (
      ((this.words[this.first] as number) >>> 8) |
      (this.inode === 0 ? 1 << 24 : 0) |
      (sends ? 1 << 25 : 0) |
      (sends && this.info?.sndWnd === 0 ? 1 << 26 : 0)
    );
  }

  get cgroupId(): bigint | null {
    const at = this.attribute(INET_DIAG_CGROUP_ID);
    return at < 0 || valueLength(this.words, at) < 8 ? null : this.bytes.readBigUInt64LE(at);
  }

  /** To keep, and to name the socket to the kernel with. */
  get identity(): DiagIdentity {
    const from = this.start + diagMessage.localPort;
    return {
      family: this.bytes[this.start + diagMessage.family] as number,
      id: Buffer.from(this.bytes.subarray(from, this.start + diagMessage.expires)),
      listening: this.state === "LISTEN",
    };
  }

  /**
   * The protocol that the kernel runs on top, `mptcp` or `tls`; null: none, or the kernel does not say. Only who has CAP_NET_ADMIN
   * is told, and only where `info` was asked for.
   */
  get upperProtocol(): string | null {
    const at = this.attribute(INET_DIAG_ULP_INFO);
    if (at < 0) return null;
    const name = findAttribute(this.bytes, at, at + valueLength(this.words, at), INET_ULP_INFO_NAME);
    return name === null ? null : this.bytes.toString("latin1", name.start, name.end).replace(/\0.*$/s, "");
  }

  /** What JSON.stringify prints; big integers as text. */
  toJSON(): Record<string, unknown> {
    const { family, mapped, state, local, remote, interfaceIndex, inode, uid, timer } = this;
    const { receiveQueue, sendQueue, info } = this;
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
      cookie: String(this.cookie),
      timer,
      receiveQueue,
      sendQueue,
      info,
      cgroupId,
    };
  }

  private get isIpv4(): boolean {
    return ((this.words[this.first] as number) & 0xff) !== AF_INET6;
  }

  private addressAt(offset: number): string {
    return this.texts.at(this.bytes, offset, this.family);
  }

  /** Where the value of an attribute begins, in bytes; -1 if there is none. Looks no further than one that does not fit. */
  private attribute(wanted: number): number {
    const { words, end } = this;
    for (let offset = this.start + diagMessage.bytes; offset + attributeHeader <= end; ) {
      const head = words[offset >> 2] as number;
      const length = head & 0xffff;
      if (length < attributeHeader || length > end - offset) return -1;
      if (((head >>> 16) & NLA_TYPE_MASK) === wanted) return offset + attributeHeader;
      offset += (length + 3) & ~3;
    }
    return -1;
  }
}

/** The length of the attribute value that begins there. */
function valueLength(words: Uint32Array, start: number): number {
  return ((words[(start - attributeHeader) >> 2] as number) & 0xffff) - attributeHeader;
}

/** From the tcp_info that begins there; what an old or cut one does not hold reads as 0, as viewTcpInfo has it. */
function lastReceivedAt(words: Uint32Array, info: number): number {
  if (valueLength(words, info) < Math.max(dataReceived, ackReceived) + 4) return 0;
  return Math.min(words[(info + dataReceived) >> 2] as number, words[(info + ackReceived) >> 2] as number);
}

function networkOrder(port: number): number {
  return ((port & 0xff) << 8) | (port >>> 8);
}

/** idiag_timer's values: inet_csk_diag_fill, inet_twsk_diag_fill and inet_req_diag_fill in net/ipv4/inet_diag.c. */
export const timerKinds = ["none", "retransmit", "keepalive", "time-wait", "zero-window"] as const;
const KEEPALIVE_TIMER = 2;
const noTimer: DiagTimer = { kind: "none", expiresMs: 0, retransmits: 0 };

/** Each address's text once: many thousand sockets share few addresses. */
export class AddressTexts {
  readonly #v4 = new Map<number, string>();
  readonly #v6 = new Map<string, string>();

  at(bytes: Buffer, offset: number, family: 4 | 6): string {
    return family === 4 ? this.v4(readWord(bytes, offset)) : this.#v6At(bytes, offset);
  }

  /** @param address its four bytes as one word. */
  v4(address: number): string {
    let text = this.#v4.get(address);
    if (text === undefined) {
      text = `${address & 0xff}.${(address >>> 8) & 0xff}.${(address >>> 16) & 0xff}.${address >>> 24}`;
      this.#v4.set(address, text);
    }
    return text;
  }

  #v6At(bytes: Buffer, offset: number): string {
    const key = bytes.toString("latin1", offset, offset + 16);
    let text = this.#v6.get(key);
    if (text === undefined) {
      text = formatIpv6(bytes, offset);
      this.#v6.set(key, text);
    }
    return text;
  }
}
