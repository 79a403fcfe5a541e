import { createServer, type AddressInfo, type Server } from "node:net";
import { DeadpeerError } from "../../errors.js";
import { EchoConnection } from "./echo-connection.js";

export interface EchoServerOptions {
  /** 0: any that is free. */
  readonly port: number;
  /** null: every address of the machine, over IPv4 and IPv6. */
  readonly address: string | null;
  /** Connections at once, further ones are closed at once. */
  readonly mostConnections?: number;
}

/**
 * The other end of `deadpeer nat`: says nothing unless it is asked to, so that what ends a silence is known.
 *
 * @example
 * await using server = await EchoServer.listen({ port: 7007, address: null });
 */
export class EchoServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #connections = new Map<string, EchoConnection>();

  private constructor(mostConnections: number) {
    this.#server = createServer({ allowHalfOpen: false }, (socket) => {
      const connection = new EchoConnection(socket, this.#connections);
      this.#connections.set(connection.id, connection);
      socket.once("close", () => this.#connections.delete(connection.id));
    });
    this.#server.maxConnections = mostConnections;
  }

  /**
   * @throws DeadpeerError `bad-option` where the port is in use, `bad-address` for an address that is not this machine's,
   *   `permission-denied` for a port that only root may have.
   */
  static async listen({ port, address, mostConnections = 4_096 }: EchoServerOptions): Promise<EchoServer> {
    const echo = new EchoServer(mostConnections);
    await new Promise<void>((resolve, reject) => {
      echo.#server.once("error", (error: NodeJS.ErrnoException) => reject(refusal(error, port, address)));
      echo.#server.listen(
        { port, ...(address === null ? {} : { host: address }), backlog: mostConnections },
        resolve,
      );
    });
    // Accepting that fails now and then (no descriptors left) concerns the one who wanted in.
    echo.#server.on("error", () => {});
    return echo;
  }

  get address(): { readonly address: string; readonly port: number } {
    const { address, port } = this.#server.address() as AddressInfo;
    return { address, port };
  }

  /** Says goodbye to every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const connection of this.#connections.values()) connection.bye("shutdown");
    const impatient = setTimeout(() => {
      for (const connection of this.#connections.values()) connection.destroy();
    }, 500);
    await closed;
    clearTimeout(impatient);
  }
}

function refusal(error: NodeJS.ErrnoException, port: number, address: string | null): DeadpeerError {
  const options = { operation: "listen", errno: error.code ?? error.name, cause: error };
  const where = address === null ? `port ${port}` : `port ${port} of ${address}`;
  switch (error.code) {
    case "EADDRINUSE":
      return new DeadpeerError("bad-option", `${where} is in use; give another with --port`, options);
    case "EACCES":
      return new DeadpeerError(
        "permission-denied",
        `listening on ${where} needs CAP_NET_BIND_SERVICE; give a port from 1024 on with --port`,
        options,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new DeadpeerError(
        "bad-address",
        `--listen: ${address} is not an address of this machine`,
        options,
      );
    default:
      return new DeadpeerError("syscall-failed", `listening on ${where}: ${error.message}`, options);
  }
}
