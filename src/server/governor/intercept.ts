import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Server, Socket } from "node:net";
import type { TLSSocket } from "node:tls";

/** Who stands between a server and its listeners. */
export interface Interceptor {
  /** Accepted; the server's own listeners do not know of it until it is handed on. */
  arrived(socket: Socket): void;
  /** TLS is agreed on. */
  secured(socket: TLSSocket): void;
  session(session: ServerHttp2Session): void;
  stream(stream: ServerHttp2Stream): void;
  /** @returns false: it has been answered, and nobody else is told. */
  request(request: IncomingMessage, response: ServerResponse): boolean;
  /** The same for requests that want the socket itself. */
  upgrade(request: IncomingMessage, socket: Socket): boolean;
}

type Emit = (this: Server, event: string | symbol, ...args: unknown[]) => boolean;

export interface Interception {
  /** Hands a connection on to the server. */
  handOn(socket: Socket): void;
  undo(): void;
}

/**
 * Puts somebody between a server and all its listeners, also those that come later. A listener could not keep a connection from the
 * others, and not one of Node's own could be told that it has to wait; for some events, as `upgrade`, Node looks whether anybody
 * listens.
 */
export function intercept(server: Server, interceptor: Interceptor): Interception {
  let to: Interceptor | null = interceptor;
  const own = Object.getOwnPropertyDescriptor(server, "emit");
  const { emit } = server as unknown as { readonly emit: Emit };
  const emitting: Emit = function (event, ...args) {
    if (to === null) return emit.call(this, event, ...args);
    switch (event) {
      case "connection":
        to.arrived(args[0] as Socket);
        return true;
      case "secureConnection":
        to.secured(args[0] as TLSSocket);
        break;
      case "session":
        to.session(args[0] as ServerHttp2Session);
        break;
      case "stream":
        to.stream(args[0] as ServerHttp2Stream);
        break;
      case "request":
      case "checkContinue":
      case "checkExpectation":
        if (!to.request(args[0] as IncomingMessage, args[1] as ServerResponse)) return true;
        break;
      case "upgrade":
      case "connect":
        if (!to.upgrade(args[0] as IncomingMessage, args[1] as Socket)) return true;
        break;
    }
    return emit.call(this, event, ...args);
  };
  server.emit = emitting as Server["emit"];
  return {
    handOn: (socket) => void emit.call(server, "connection", socket),
    undo() {
      // Somebody may have put a layer on top: then this one stays in between, and passes everything on.
      to = null;
      if (server.emit !== (emitting as Server["emit"])) return;
      if (own === undefined) delete (server as Partial<Server>).emit;
      else Object.defineProperty(server, "emit", own);
    },
  };
}
