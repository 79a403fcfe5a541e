import { DeadpeerError } from "../errors.js";
import { type NetlinkChannel, openNetlink } from "./netlink-channel.js";
import { netlinkHeader } from "./netlink.js";

/** include/uapi/linux/netlink.h. */
const NETLINK_ROUTE = 0;
/** include/uapi/linux/rtnetlink.h: links, addresses and routes, of IPv4 and IPv6. */
const RTMGRP_LINK = 0x1;
const RTMGRP_IPV4_IFADDR = 0x10;
const RTMGRP_IPV4_ROUTE = 0x40;
const RTMGRP_IPV6_IFADDR = 0x100;
const RTMGRP_IPV6_ROUTE = 0x400;

/** Messages are read for that they came, not for what they say; one cut short serves as well. */
const noticeBytes = 4_096;
/** In one look; a network that changes faster is still changing. */
const mostAtOnce = 1_024;

/**
 * Whether the network of this host has changed: a link, an address or a route came, went or changed (rtnetlink(7)). Of the network
 * namespace in which it was opened.
 *
 * @example
 * using changes = NetworkChanges.open();
 * if (changes.poll()) connectAtOnce();
 */
export class NetworkChanges implements Disposable {
  readonly #channel: NetlinkChannel;
  readonly #buffer = Buffer.allocUnsafe(noticeBytes);

  /** For tests: over a made-up channel. */
  constructor(channel: NetlinkChannel) {
    this.#channel = channel;
  }

  /** @throws DeadpeerError `ffi-unavailable`, `platform-unsupported`, `feature-missing`, `syscall-failed`. Needs no privilege. */
  static open(): NetworkChanges {
    const groups =
      RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;
    return new NetworkChanges(openNetlink(NETLINK_ROUTE, groups));
  }

  /** @returns whether anything changed since the last look. */
  poll(): boolean {
    let changed = false;
    for (let count = 0; count < mostAtOnce; count++) {
      const length = this.#receive();
      if (length === null) break;
      changed ||= length >= netlinkHeader.bytes;
    }
    return changed;
  }

  /** Notices that were lost were there. */
  #receive(): number | null {
    try {
      return this.#channel.receive(this.#buffer);
    } catch (error) {
      if (error instanceof DeadpeerError && error.errno === "ENOBUFS") return netlinkHeader.bytes;
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
