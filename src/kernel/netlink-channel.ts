import { DeadpeerError } from "../errors.js";
import { AF_NETLINK, SOL_SOCKET } from "./abi.js";
import { errnoName } from "./errno.js";
import { OwnedFd } from "./fd.js";
import { check, lastErrno, libc, syscallError } from "./libc.js";

/** include/linux/socket.h, include/uapi/asm-generic/socket.h, include/uapi/linux/netlink.h. */
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_EXT_ACK = 11;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;

/** struct sockaddr_nl. */
const address = { family: 0, port: 4, groups: 8, bytes: 12 } as const;

/** One netlink socket as `dump` needs it: the kernel's, or a made-up one in tests. */
export interface NetlinkChannel extends Disposable {
  /** The port id that the kernel puts into its answers. */
  readonly port: number;
  send(message: Buffer): void;
  /**
   * Receives one datagram without waiting.
   * @returns its whole length, also where `into` was too small and the rest is lost; null if there is none.
   */
  receive(into: Buffer): number | null;
}

/**
 * Opens a netlink socket in the network namespace that the thread is in.
 *
 * @param groups multicast groups to listen to, each a bit: group 1 is the lowest.
 * @throws DeadpeerError `feature-missing` where the kernel (or a sandbox) has no such protocol.
 */
export function openNetlink(protocol: number, groups = 0): NetlinkChannel {
  const type = SOCK_RAW | SOCK_CLOEXEC;
  const fd = libc().socket(AF_NETLINK, type, protocol);
  if (fd < 0) {
    const errno = lastErrno();
    const name = errnoName(errno);
    if (name !== "EPROTONOSUPPORT" && name !== "EAFNOSUPPORT")
      throw syscallError(errno, "socket(AF_NETLINK)");
    throw new DeadpeerError("feature-missing", `this kernel or sandbox has no netlink protocol ${protocol}`, {
      operation: "socket(AF_NETLINK)",
      errno: name,
    });
  }
  const socket = new OwnedFd(fd);
  try {
    return new KernelChannel(socket, groups);
  } catch (error) {
    socket.close();
    throw error;
  }
}

class KernelChannel implements NetlinkChannel {
  readonly port: number;
  readonly #socket: OwnedFd;

  constructor(socket: OwnedFd, groups: number) {
    this.#socket = socket;
    const on = Buffer.alloc(4);
    on.writeUInt32LE(1);
    // Linux 4.12; an older kernel only explains less.
    libc().setsockopt(socket.fd, SOL_NETLINK, NETLINK_EXT_ACK, on, on.length);
    const own = Buffer.alloc(address.bytes);
    own.writeUInt16LE(AF_NETLINK, address.family);
    own.writeUInt32LE(groups, address.groups);
    check(libc().bind(socket.fd, own, own.length), "bind(AF_NETLINK)");
    const length = Buffer.alloc(4);
    length.writeUInt32LE(own.length);
    check(libc().getsockname(socket.fd, own, length), "getsockname(AF_NETLINK)");
    this.port = own.readUInt32LE(address.port);
    if (groups !== 0) makeRoom(socket);
  }

  send(message: Buffer): void {
    // Port 0 is the kernel.
    const kernel = Buffer.alloc(address.bytes);
    kernel.writeUInt16LE(AF_NETLINK, address.family);
    for (;;) {
      const sent = libc().sendto(this.#socket.fd, message, message.length, 0, kernel, kernel.length);
      if (sent >= 0) return;
      const errno = lastErrno();
      if (errnoName(errno) !== "EINTR") throw syscallError(errno, "sendto(AF_NETLINK)");
    }
  }

  receive(into: Buffer): number | null {
    for (;;) {
      // A dump's next part is made by the call that fetches the one before it (netlink_recvmsg), so there is never
      // anything to wait for; and whoever listens to a group comes again.
      const length = libc().recv(this.#socket.fd, into, into.length, MSG_DONTWAIT | MSG_TRUNC);
      if (length >= 0) return length;
      const errno = lastErrno();
      const name = errnoName(errno);
      if (name === "EAGAIN") return null;
      if (name !== "EINTR") throw syscallError(errno, "recv(AF_NETLINK)");
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** What comes unasked waits until it is read. The room is a limit: it takes memory only when it is needed. */
const roomBytes = 32 * 2 ** 20;

function makeRoom(socket: OwnedFd): void {
  const room = Buffer.alloc(4);
  room.writeUInt32LE(roomBytes);
  // Without CAP_NET_ADMIN up to net.core.rmem_max.
  if (libc().setsockopt(socket.fd, SOL_SOCKET, SO_RCVBUFFORCE, room, room.length) < 0)
    libc().setsockopt(socket.fd, SOL_SOCKET, SO_RCVBUF, room, room.length);
}
