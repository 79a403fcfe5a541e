import { DeadpeerError } from "../errors.js";
import { AF_INET, IPPROTO_TCP, NETLINK_SOCK_DIAG } from "./abi.js";
import { have } from "./capabilities.js";
import type { DiagIdentity } from "./diag-socket.js";
import { errnoName, errnoText } from "./errno.js";
import { inNamespace, type NetworkNamespace } from "./namespaces.js";
import { encodeRequest } from "./netlink.js";
import { type NetlinkChannel, openNetlink } from "./netlink-channel.js";

/** include/uapi/linux/sock_diag.h, include/uapi/linux/netlink.h. */
const SOCK_DESTROY = 21;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLMSG_ERROR = 2;

/** struct inet_diag_req_v2; of extensions and states the kernel looks at none here. */
const request = { family: 0, protocol: 1, id: 8, bytes: 56 } as const;
/** struct nlmsghdr and the error number of struct nlmsgerr behind it. */
const answer = { type: 4, sequence: 8, errno: 16, bytes: 20 } as const;

/**
 * How many ends a listener is looked for from. Of listeners that share a port (SO_REUSEPORT) the kernel finds the one that a
 * client of that end would get; of 64 each is met within this many tries but once in ten million.
 */
const listenerTries = 1_024;

/**
 * Ends sockets in the kernel, in one network namespace (tcp_abort): the program that holds one gets ECONNABORTED, the peer an RST.
 * Connections that nobody holds, such as those in TIME_WAIT or SYN_RECV, go without a word to the peer.
 *
 * @example
 * using destroyer = SocketDestroyer.open();
 * destroyer.end(record.identity); // true
 */
export class SocketDestroyer implements Disposable {
  readonly #channel: NetlinkChannel;
  readonly #answer = Buffer.alloc(4_096);
  #sequence = 0;

  /** @param channel closed with this object. Made up in tests. */
  constructor(channel: NetlinkChannel) {
    this.#channel = channel;
  }

  /**
   * @throws DeadpeerError `permission-denied` without CAP_NET_ADMIN, `feature-missing` where the kernel was built without
   *   CONFIG_INET_DIAG_DESTROY or is older than 4.5; as inNamespace; `ffi-unavailable`, `platform-unsupported`.
   */
  static open(namespace?: NetworkNamespace): SocketDestroyer {
    const destroyer = new SocketDestroyer(
      namespace === undefined ? openSockDiag() : inNamespace(namespace, openSockDiag),
    );
    try {
      const name = errnoName(destroyer.errnoOf(nobody));
      // An older kernel does not know the message (EINVAL).
      if (name === "EOPNOTSUPP" || name === "EINVAL") throw notBuilt(name);
      // The kernel looks for the socket first, so that only one that exists would be refused (tcp_diag_destroy).
      if (have("CAP_NET_ADMIN") === "no") throw notAllowed("EPERM");
      return destroyer;
    } catch (error) {
      destroyer[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Ends exactly this socket: the kernel compares the cookie, so one that has taken over its ends is never meant.
   *
   * @returns false if it has gone already.
   * @throws DeadpeerError `permission-denied` without CAP_NET_ADMIN over the namespace, `value-refused` for a socket that the
   *   kernel does not end.
   */
  end(identity: DiagIdentity): boolean {
    if (this.#ask(identity)) return true;
    if (!identity.listening) return false;
    const asked = { ...identity, id: Buffer.from(identity.id) };
    for (let port = 1; port <= listenerTries; port++) {
      asked.id.writeUInt16BE(port, remotePort);
      if (this.#ask(asked)) return true;
    }
    return false;
  }

  #ask(identity: DiagIdentity): boolean {
    const errno = this.errnoOf(identity);
    if (errno === 0) return true;
    const name = errnoName(errno);
    // ENOENT: there is none with these ends, or its cookie is another, or it is closed already (tcp_abort).
    if (name === "ENOENT") return false;
    throw refusal(errno, name);
  }

  /** What the kernel says to the request, as a number; 0: done. */
  errnoOf({ family, id }: DiagIdentity): number {
    const bytes = Buffer.alloc(request.bytes);
    bytes[request.family] = family;
    bytes[request.protocol] = IPPROTO_TCP;
    id.copy(bytes, request.id);
    const sequence = ++this.#sequence;
    this.#channel.send(encodeRequest(SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, sequence, bytes));
    for (;;) {
      const length = this.#channel.receive(this.#answer);
      if (length === null || length < answer.bytes)
        throw new DeadpeerError("netlink-protocol", "the kernel did not say whether it ended the connection");
      if (
        this.#answer.readUInt16LE(answer.type) === NLMSG_ERROR &&
        this.#answer.readUInt32LE(answer.sequence) === sequence
      )
        return -this.#answer.readInt32LE(answer.errno);
    }
  }

  [Symbol.dispose](): void {
    this.#channel[Symbol.dispose]();
  }
}

function openSockDiag(): NetlinkChannel {
  return openNetlink(NETLINK_SOCK_DIAG);
}

/** In struct inet_diag_sockid. */
const remotePort = 2;

/** The connection from 0.0.0.0:0 to 0.0.0.0:0, which there cannot be. */
export const nobody: DiagIdentity = { family: AF_INET, id: Buffer.alloc(48), listening: false };

function refusal(errno: number, name: string): DeadpeerError {
  if (name === "EPERM" || name === "EACCES") return notAllowed(name);
  if (name === "EOPNOTSUPP") return notBuilt(name);
  // EINVAL: a listener of MPTCP (tcp_abort_override).
  return new DeadpeerError(
    "value-refused",
    `the kernel refuses to end this socket: ${errnoText(errno)} (${name})`,
    { operation, errno: name },
  );
}

const operation = "SOCK_DESTROY";

function notAllowed(errno: string): DeadpeerError {
  return new DeadpeerError(
    "permission-denied",
    "ending connections needs CAP_NET_ADMIN over their network namespace; run as root",
    { operation, errno },
  );
}

function notBuilt(errno: string): DeadpeerError {
  return new DeadpeerError(
    "feature-missing",
    "this kernel cannot end connections: it is older than Linux 4.5, or built without CONFIG_INET_DIAG_DESTROY",
    { operation, errno },
  );
}
