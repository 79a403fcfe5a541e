import type { Socket } from "node:net";
import { guard, type Guard } from "../../guard/guard.js";
import { readSettings } from "../../kernel/socket-options.js";
import { readTcpInfo } from "../../kernel/tcp-info.js";
import type { Settings } from "../../plan/settings.js";
import { baseFd } from "../../guard/inner-socket.js";
import { tell } from "./protocol.js";

/** One guarded connection of a peer, which tells the lab all that happens to it. */
export class PeerConnection {
  readonly name: string;
  readonly socket: Socket;
  readonly #guard: Guard;
  /** Unread data is left alone: the window closes. */
  readonly #deaf: boolean;

  /**
   * @param settings null leaves what the socket has inherited.
   */
  constructor(name: string, socket: Socket, settings: Settings | null, { deaf = false } = {}) {
    this.name = name;
    this.socket = socket;
    this.#deaf = deaf;
    this.#guard = guard(socket, settings ?? this.settings() ?? { keepalive: null, userTimeoutMs: 0 });
    this.#guard.on("verdict", (verdict) => tell({ event: "verdict", connection: name, verdict }));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      tell({ event: "error", connection: name, errno: error.code ?? error.name }),
    );
    socket.on("end", () => tell({ event: "end", connection: name }));
    socket.on("close", () => tell({ event: "close", connection: name }));
  }

  /** Says that it stands, and begins to read. */
  begin(event: "connected" | "accepted"): void {
    const { localAddress, localPort, remoteAddress, remotePort } = this.socket;
    tell({
      event,
      connection: this.name,
      local: endpoint(localAddress, localPort),
      remote: endpoint(remoteAddress, remotePort),
      settings: this.settings(),
    });
    if (this.#deaf) return;
    this.socket.on("data", (data: Buffer) =>
      tell({
        event: "data",
        connection: this.name,
        bytes: data.length,
        text: data.toString("latin1", 0, 60),
      }),
    );
  }

  /** As the kernel holds them; null once the socket is closed. */
  settings(): Settings | null {
    const fd = baseFd(this.socket);
    if (fd < 0) return null;
    const { keepalive, userTimeoutMs } = readSettings(fd);
    const { enabled, ...times } = keepalive;
    return { keepalive: enabled ? times : null, userTimeoutMs };
  }

  write(data: string | Buffer): void {
    this.socket.write(data, (error) => {
      if (error === undefined || error === null) tell({ event: "drained", connection: this.name });
    });
  }

  set(settings: Settings): void {
    this.#guard.change(settings);
    tell({ event: "settings", connection: this.name, settings: this.settings() });
  }

  snapshot(): void {
    const fd = baseFd(this.socket);
    if (fd >= 0) tell({ event: "snapshot", connection: this.name, info: readTcpInfo(fd) });
  }

  /** The guard lets go: who calls this knows better why it ends. */
  release(): void {
    this.#guard.close();
  }
}

/** As the wire and the kernel's list have it: a listener for both families sees IPv4 mapped into IPv6. */
function endpoint(address: string | undefined, port: number | undefined): string {
  return `${address?.replace(/^::ffff:/, "")} ${port}`;
}
