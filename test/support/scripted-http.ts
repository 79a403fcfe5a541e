import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";

/** A request as a scripted server has read it. */
export interface ScriptedRequest {
  /** Of all connections, from 0. */
  readonly connection: number;
  /** On its connection, from 0. */
  readonly index: number;
  readonly head: string;
  readonly method: string;
  /** Without chunk framing. */
  readonly body: string;
  readonly socket: Socket;
}

/** A server that does to the byte what a test tells it to, right or wrong. */
export interface ScriptedServer extends AsyncDisposable {
  readonly origin: string;
  readonly port: number;
  /** Everything that was asked of it. */
  readonly requests: readonly ScriptedRequest[];
  readonly connections: readonly Socket[];
}

export const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** Answers with a reset; over TLS, which Node cannot reset, with an end. */
export function reset(socket: Socket): null {
  if ("encrypted" in socket) socket.destroy();
  else socket.resetAndDestroy();
  return null;
}

/** Sends these bytes, and ends the connection in order. */
export function end(socket: Socket, bytes = ""): null {
  if (bytes !== "") socket.write(bytes, "latin1");
  socket.destroySoon();
  return null;
}

/** @param answer is called for each request that has been read to its end; bytes it returns are sent. */
export async function scriptedServer(
  answer: (request: ScriptedRequest) => string | null,
  { tls, host = "127.0.0.1" }: { readonly tls?: TlsOptions; readonly host?: string } = {},
): Promise<ScriptedServer> {
  const requests: ScriptedRequest[] = [];
  const connections: Socket[] = [];
  const serve = (socket: Socket): void => {
    const connection = connections.push(socket) - 1;
    let index = 0;
    let read = "";
    socket.setNoDelay().on("error", () => {});
    socket.setEncoding("latin1").on("data", (text: string) => {
      read += text;
      for (let found = cut(read); found !== null; found = cut(read)) {
        read = found.rest;
        const { head, body } = found;
        const request = {
          connection,
          index: index++,
          head,
          body,
          method: head.split(" ", 1)[0] ?? "",
          socket,
        };
        requests.push(request);
        const bytes = answer(request);
        if (bytes !== null) socket.write(bytes, "latin1");
      }
    });
  };
  const server =
    tls === undefined ? createServer({ allowHalfOpen: false }, serve) : createTlsServer(tls, serve);
  server.listen({ port: 0, host, backlog: 4_096 });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    origin: `${tls === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`,
    port,
    requests,
    connections,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of connections) socket.destroy();
      await closed;
    },
  };
}

/** The first whole request of what was read. */
function cut(read: string): { readonly head: string; readonly body: string; readonly rest: string } | null {
  const end = read.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const head = read.slice(0, end);
  const after = read.slice(end + 4);
  if (/^transfer-encoding: chunked/im.test(head)) return cutChunks(head, after);
  const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
  return after.length < length ? null : { head, body: after.slice(0, length), rest: after.slice(length) };
}

function cutChunks(head: string, after: string): ReturnType<typeof cut> {
  let body = "";
  let rest = after;
  for (;;) {
    const [line = "", size] = /^([0-9a-f]+)\r\n/i.exec(rest) ?? [];
    const length = Number.parseInt(size ?? "", 16);
    if (line === "" || rest.length < line.length + length + 2) return null;
    body += rest.slice(line.length, line.length + length);
    rest = rest.slice(line.length + length + 2);
    if (length === 0) return { head, body, rest };
  }
}
