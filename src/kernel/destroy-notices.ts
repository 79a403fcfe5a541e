import { DeadpeerError } from "../errors.js";
import { NETLINK_SOCK_DIAG } from "./abi.js";
import { AddressTexts, type DiagBuffer, diagMessage, SocketRecord } from "./diag-socket.js";
import { inNamespace, type NetworkNamespace } from "./namespaces.js";
import { netlinkHeader } from "./netlink.js";
import { type NetlinkChannel, openNetlink } from "./netlink-channel.js";

/** enum sknetlink_groups, include/uapi/linux/sock_diag.h: TCP sockets over IPv4 and IPv6, as bits. */
const SKNLGRP_INET_TCP_DESTROY = 1 << (1 - 1);
const SKNLGRP_INET6_TCP_DESTROY = 1 << (3 - 1);

/** One notice is a description and a tcp_info, some 380 bytes. */
const noticeBytes = 4_096;
/** In one go; what is left is there the next time. */
const mostAtOnce = 16_384;

/**
 * The kernel's last word on every TCP socket of one network namespace, sent when the socket is freed (sock_diag_broadcast_destroy):
 * all of its tcp_info, with the state CLOSE. That is after its program has closed it, so well after the end of the connection where
 * the program takes its time; and a socket that was disconnected, as an abortive close does, has lost its peer and its counts.
 *
 * While it is open it keeps the namespace alive.
 *
 * @example
 * using notices = DestroyNotices.open(namespace);
 * notices.poll((socket) => print(socket.cookie, socket.info?.bytesReceived));
 */
export class DestroyNotices implements Disposable {
  readonly #channel: NetlinkChannel;
  readonly #buffer: DiagBuffer;
  readonly #record: SocketRecord;
  #lost = 0;

  /** For tests: notices over a made-up channel. */
  constructor(channel: NetlinkChannel) {
    this.#channel = channel;
    const bytes = Buffer.allocUnsafeSlow(noticeBytes);
    this.#buffer = { bytes, words: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2) };
    this.#record = new SocketRecord(this.#buffer, 0, 0, new AddressTexts());
  }

  /**
   * @param namespace that of this thread without it.
   * @throws DeadpeerError `feature-missing`, `no-namespace`, `permission-denied`.
   */
  static open(namespace?: NetworkNamespace): DestroyNotices {
    return new DestroyNotices(namespace === undefined ? listen() : inNamespace(namespace, listen));
  }

  /** How often notices came faster than they were read and some were lost; the kernel does not say how many. */
  get lost(): number {
    return this.#lost;
  }

  /** Visits what has come since the last time. The record shows the next socket afterwards: what is to be kept must be copied. */
  poll(visit: (socket: SocketRecord) => void): void {
    for (let count = 0; count < mostAtOnce; count++) {
      const length = this.#receive();
      if (length === null) return;
      if (length === lostSome) {
        this.#lost++;
        continue;
      }
      if (length < netlinkHeader.bytes + diagMessage.bytes || length > noticeBytes) continue;
      this.#record.moveTo(this.#buffer, netlinkHeader.bytes, length);
      visit(this.#record);
    }
  }

  #receive(): number | null {
    try {
      return this.#channel.receive(this.#buffer.bytes);
    } catch (error) {
      if (error instanceof DeadpeerError && error.errno === "ENOBUFS") return lostSome;
      throw error;
    }
  }

  close(): void {
    this.#channel[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function listen(): NetlinkChannel {
  return openNetlink(NETLINK_SOCK_DIAG, SKNLGRP_INET_TCP_DESTROY | SKNLGRP_INET6_TCP_DESTROY);
}

const lostSome = -1;
