import { once } from "node:events";
import { type AddressInfo, connect, type Server, type Socket } from "node:net";
import type { TestContext } from "node:test";
import type { EvictionReason, Governor, HeldConnection } from "../../../src/server/index.js";
import type { Verdict } from "../../../src/verdict/verdict.js";

export const hosts = ["127.0.0.1", "::1"] as const;

/** Listens no longer than the test lasts, also one that fails. @returns the port. */
export async function listening(t: TestContext, server: Server, host: string): Promise<number> {
  t.after(() => void server.close());
  server.listen(0, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A client that does nothing by itself, and takes every ending as it comes; it is gone when the test is over. */
export async function connected(t: TestContext, port: number, host: string): Promise<Socket> {
  const socket = connect({ port, host, allowHalfOpen: true });
  t.after(() => void socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Everything that a socket receives until its peer ends it. */
export async function received(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("latin1");
  socket.on("data", (piece: string) => (text += piece));
  if (!socket.closed) await Promise.race([once(socket, "end"), once(socket, "close")]);
  return text;
}

export async function evicted(governor: Governor): Promise<{
  connection: HeldConnection;
  verdict: Verdict;
  reason: EvictionReason;
}> {
  const [connection, verdict, reason] = (await once(governor, "evicted")) as [
    HeldConnection,
    Verdict,
    EvictionReason,
  ];
  return { connection, verdict, reason };
}

/** Ends what a test has opened. */
export async function closed(server: Server, ...sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) socket.destroy();
  if (!server.listening) return;
  server.close();
  await once(server, "close");
}
