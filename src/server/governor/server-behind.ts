import { Server } from "node:net";
import { DeadpeerError } from "../../errors.js";
import { serverBehind } from "./internals.js";

/**
 * The server whose connections are meant: itself, or the one that a WebSocketServer of ws listens on.
 *
 * @throws DeadpeerError `no-socket`.
 */
export function listeningServer(given: unknown): Server {
  if (given instanceof Server) return given;
  const behind = typeof given === "object" && given !== null ? serverBehind(given) : null;
  if (behind instanceof Server) return behind;
  throw new DeadpeerError(
    "no-socket",
    "governServer: give a net, tls, http, https or http2 server, or a WebSocketServer of ws that has one; with noServer give the server that upgrades",
  );
}
