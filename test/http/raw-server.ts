import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";

/** A server that speaks HTTP/1 as badly as a test wants it to. */
export interface RawServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** How many connections it has had. */
  readonly connections: number;
}

/** One connection to it. */
export interface RawConnection {
  readonly socket: Socket;
  /** Which request of its connection this is, from 1 on. */
  readonly nth: number;
  readonly head: string;
}

/** @param onRequest told of each request once its head has arrived. */
export async function rawServer(
  onRequest: (request: RawConnection) => void,
  {
    onConnection,
    host = "127.0.0.1",
  }: { readonly onConnection?: (socket: Socket) => void; readonly host?: string } = {},
): Promise<RawServer> {
  const open = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => {});
    onConnection?.(socket);
    let text = "";
    let nth = 0;
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const head = text.slice(0, end + 2);
        text = text.slice(end + 4);
        onRequest({ socket, nth: ++nth, head });
      }
    });
  });
  server.listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}/`,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/** An answer with a length, and more headers. */
export function answer(...headers: readonly string[]): string {
  return ["HTTP/1.1 200 OK", "Content-Length: 2", ...headers, "", "ok"].join("\r\n");
}

/** Answers; then waits so long, and does something about the silence. */
export function idleTimer(socket: Socket, ms: number, then: () => void): void {
  socket.setTimeout(ms, then);
}
