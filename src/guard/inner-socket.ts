import { type Server, Socket } from "node:net";
import { DeadpeerError } from "../errors.js";

/** libuv's handle behind a socket, as far as it matters here; Node shares it with every add-on that asks for `_handle`. */
interface Handle {
  /** Negative without a descriptor; absent on handles that have none in this process. */
  readonly fd?: number;
  /** TLSWrap: what it encrypts for. */
  readonly _parent?: Handle | null;
  /** TLSWrap over something else than a socket: the stream that stands in for one. */
  readonly _parentWrap?: unknown;
  /** TCP handles have it, Unix sockets' (Pipe) do not. */
  readonly getpeername?: unknown;
}

type WithHandle = { readonly _handle?: Handle | null };

/**
 * The fields under which things keep the socket they stand on: ws `_socket`, http messages and http2 sessions `socket`, http2
 * streams `session`, database clients `connection`, `stream`.
 */
const innerFields = ["_socket", "socket", "session", "connection", "stream"] as const;
const maxDepth = 4;

/**
 * The TCP socket of Node inside a thing: itself, or what it stands on.
 *
 * @throws DeadpeerError `no-socket`: there is none, it is already closed, or it is not TCP.
 */
export function innerSocket(given: unknown): Socket {
  const socket = anyInnerSocket(given);
  if (socket === null)
    throw new DeadpeerError(
      "no-socket",
      "no TCP socket stands behind the object that was given; give a net.Socket, a tls.TLSSocket, or something open that has one",
    );
  if (socket.destroyed) throw new DeadpeerError("no-socket", "the socket is already closed");
  requireTcp(baseHandle(socket));
  return socket;
}

/** The same for whoever takes Unix sockets and closed ones as well; null: there is none. */
export function anyInnerSocket(given: unknown): Socket | null {
  return find(given, maxDepth);
}

function find(thing: unknown, depth: number): Socket | null {
  if (typeof thing !== "object" || thing === null || depth === 0) return null;
  if (thing instanceof Socket) {
    const handle = baseHandle(thing);
    // An http2 session gives a proxy for its socket; methods of the proxy run on, and return, the socket itself.
    const itself = thing.off("close", nothing);
    // TLS over a stream that is no socket: Node puts a stand-in between, and the TCP socket, if any, is further down.
    if (handle !== null && !isTcp(handle)) {
      const standIn = (thing as unknown as WithHandle)._handle?._parentWrap;
      return find((standIn as { readonly stream?: unknown } | null | undefined)?.stream, depth - 1) ?? itself;
    }
    return itself;
  }
  const fields = thing as Readonly<Record<string, unknown>>;
  for (const name of innerFields) {
    const inner = find(fields[name], depth - 1);
    if (inner !== null) return inner;
  }
  return null;
}

function nothing(): void {}

/** The handle that holds the descriptor, below any number of TLS layers; null: not created yet, or gone. */
function baseHandle(socket: Socket): Handle | null {
  let handle = (socket as unknown as WithHandle)._handle ?? null;
  while (handle?._parent !== undefined && handle._parent !== null) handle = handle._parent;
  return handle;
}

/** @throws DeadpeerError `no-socket` for a handle of something else than TCP. */
export function requireTcp(handle: { readonly getpeername?: unknown } | null): void {
  if (handle !== null && !isTcp(handle))
    throw new DeadpeerError(
      "no-socket",
      "this is not a TCP socket: a Unix socket or a pipe has no peer that could vanish from the network",
    );
}

function isTcp(handle: { readonly getpeername?: unknown }): boolean {
  return typeof handle.getpeername === "function";
}

/** The descriptor of a socket; -1 while or once it has none. */
export function baseFd(socket: Socket): number {
  return baseHandle(socket)?.fd ?? -1;
}

/** The descriptor at which a server listens; -1: there is none here, as in a cluster's worker that is dealt its connections. */
export function listeningFd(server: Server): number {
  return (server as unknown as WithHandle)._handle?.fd ?? -1;
}
