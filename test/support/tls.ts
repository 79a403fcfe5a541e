import { Buffer } from "node:buffer";
import { connect, createServer, type ConnectionOptions, type Server, type TLSSocket } from "node:tls";

// A key that both sides have needs no certificate.
const key = Buffer.from("0123456789abcdef");
const shared = { ciphers: "PSK", minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;

/** For servers of other protocols over TLS, and their clients. */
export const tlsServerOptions = { ...shared, pskCallback: () => key, pskIdentityHint: "" };
export const tlsClientOptions = {
  ...shared,
  pskCallback: () => ({ psk: key, identity: "test" }),
  checkServerIdentity: () => undefined,
};

/** A TLS server that accepts and does nothing. */
export function tlsServer(): Server {
  return createServer(tlsServerOptions, (socket) => {
    socket.on("error", () => {});
  });
}

/** A TLS connection to such a server. */
export function tlsConnect(options: ConnectionOptions): TLSSocket {
  return connect({ ...tlsClientOptions, ...options });
}
