import cluster from "node:cluster";
import { createServer, type Server, type ServerOpts, type Socket } from "node:net";
import { listeningFd } from "../../guard/inner-socket.js";
import { noDelay } from "../../kernel/accept.js";
import { closeFd, duplicate } from "../../kernel/socket-io.js";
import type { Lot } from "./lot.js";

export interface StreamDoorOptions {
  readonly lot: Lot;
  /** For servers of Node's that take its place. */
  readonly streamOptions: ServerOpts;
  readonly backlog: number;
  readonly onSocket: (socket: Socket) => void;
  readonly onError: (error: Error) => void;
}

/**
 * A listening socket at which the lot accepts while it is open, and Node otherwise. The socket is the same all the while, so nobody who
 * is about to connect notices.
 */
export class StreamDoor {
  readonly #options: StreamDoorOptions;
  /** Node's, while it accepts. */
  #server: Server | null;
  /** Ours, while the lot accepts. */
  #fd = -1;
  #listener = -1;
  #closed = false;

  private constructor(server: Server, options: StreamDoorOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** @returns null for a server whose listening socket is elsewhere, or shared with other processes: a cluster's. */
  static of(server: Server, options: StreamDoorOptions): StreamDoor | null {
    if (cluster.isWorker || listeningFd(server) < 0) return null;
    return new StreamDoor(server, options);
  }

  get atLot(): boolean {
    return this.#fd >= 0;
  }

  /** The lot is open. */
  toLot(): void {
    if (this.#server === null || this.#closed) return;
    const fd = duplicate(listeningFd(this.#server));
    // Of a full process: Node goes on.
    if (fd < 0) return;
    noDelay(fd);
    const listener = this.#options.lot.listen(fd);
    if (listener < 0) {
      closeFd(fd);
      return;
    }
    this.#fd = fd;
    this.#listener = listener;
    // What it has accepted lives on; its descriptor goes, and ours stands for the socket.
    this.#server.close();
    this.#server = null;
  }

  /** The lot is shut, and none of its workers runs. */
  async toNode(): Promise<void> {
    if (!this.atLot || this.#closed) return;
    const fd = await this.#takeFromLot();
    if (this.#closed) {
      closeFd(fd);
      return;
    }
    const server = createServer(this.#options.streamOptions);
    server.on("connection", this.#options.onSocket);
    server.on("error", this.#options.onError);
    server.listen({ fd, backlog: this.#options.backlog });
    this.#server = server;
  }

  /** Nobody is accepted any more. */
  async close(): Promise<void> {
    this.#closed = true;
    const server = this.#server;
    this.#server = null;
    if (server !== null) await new Promise((resolve) => server.close(resolve));
    if (this.atLot) closeFd(await this.#takeFromLot());
  }

  async #takeFromLot(): Promise<number> {
    const fd = this.#fd;
    this.#fd = -1;
    await this.#options.lot.deafen(this.#listener);
    return fd;
  }
}
