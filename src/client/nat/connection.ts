import { connect, type Socket } from "node:net";
import { DeadpeerError } from "../../errors.js";
import { baseFd } from "../../guard/inner-socket.js";
import { systemClock } from "../../kernel/clock.js";
import { hasFeature } from "../../kernel/features.js";
import { writeSettings } from "../../kernel/socket-options.js";
import { readTcpInfo, type TcpInfo } from "../../kernel/tcp-info.js";
import { LineReader } from "../../heartbeat/echo/lines.js";
import { type Address, formatEndpoint } from "./target.js";

/** Even the slowest path has answered by then; a host that has not does not answer. */
const connectMs = 10_000;

/** Unread at once; an echo server never has so much to say. */
const mostLines = 100;

/** How a connection ended, unless by us, and when on the monotonic clock. */
export interface Ended {
  readonly how: "closed" | "reset" | "failed";
  readonly atMs: number;
}

/** One connection to the server under measurement, which nothing but this code keeps alive or ends. */
export class Connection {
  readonly socket: Socket;
  readonly lines: string[] = [];
  readonly #reader = new LineReader();
  #end: Ended | null = null;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      // Another kind of server may say whatever it likes, which is of interest only where it is a greeting.
      this.#reader.push(chunk, (line) => {
        if (this.lines.length < mostLines) this.lines.push(line);
      });
    });
    socket.on("end", () => this.#ended("closed"));
    socket.on("error", ({ code }: NodeJS.ErrnoException) =>
      this.#ended(code === "ECONNRESET" || code === "EPIPE" ? "reset" : "failed"),
    );
    socket.on("close", () => this.#ended("closed"));
  }

  /**
   * @throws DeadpeerError `cannot-connect`; whatever `signal` is aborted with.
   */
  static async open({ address, family, port }: Address, signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted();
    // "end" alone must not close our side: what is told afterwards may still be of interest, and we close ourselves.
    const socket = connect({ host: address, family, port, noDelay: true, allowHalfOpen: true });
    const abort = (): void => void socket.destroy(signal.reason as Error);
    signal.addEventListener("abort", abort);
    const impatient = setTimeout(() => {
      const problem = `does not answer within ${connectMs / 1_000}s`;
      socket.destroy(new DeadpeerError("cannot-connect", `${formatEndpoint(address, port)} ${problem}`));
    }, connectMs);
    try {
      await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      const connection = new Connection(socket);
      // Whoever set something for all sockets of this process (deadpeer policy, a library) did not mean this one.
      writeSettings(baseFd(socket), { keepalive: null, userTimeoutMs: 0 });
      return connection;
    } catch (error) {
      socket.destroy();
      signal.throwIfAborted();
      throw error instanceof DeadpeerError ? error : refusal(error, formatEndpoint(address, port));
    } finally {
      clearTimeout(impatient);
      signal.removeEventListener("abort", abort);
    }
  }

  /** null: it still stands, as far as our kernel knows. */
  get ended(): Ended | null {
    return this.#end;
  }

  /** What the kernel knows; null once there is no socket. */
  info(): TcpInfo | null {
    const fd = baseFd(this.socket);
    return fd < 0 ? null : readTcpInfo(fd);
  }

  /** Has the kernel send probes every second from now on, or at once where the silence is longer. */
  probe(): void {
    const fd = baseFd(this.socket);
    if (fd >= 0) writeSettings(fd, { keepalive: { intervalMs: 1_000, count: 127, idleMs: 1_000 } });
  }

  /**
   * After an outage it shall be heard again soon: what is not acknowledged is sent again at least once a second, where the kernel can
   * (Linux 6.15); and not only tcp_retries2 times, but for so long.
   */
  retransmitOften(forMs: number): void {
    const fd = baseFd(this.socket);
    if (fd >= 0 && hasFeature("rto-max") === "yes")
      writeSettings(fd, { rtoMaxMs: 1_000, userTimeoutMs: forMs });
  }

  write(line: string): void {
    if (this.socket.writable) this.socket.write(`${line}\n`);
  }

  /**
   * @param lost nobody would hear a goodbye, and the kernel shall not try for minutes.
   */
  close(lost: boolean): void {
    if (lost) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  #ended(how: Ended["how"]): void {
    this.#end ??= { how, atMs: systemClock.monotonic() };
  }
}

/** What a failed connect(2) means, for people. */
export function refusal(error: unknown, endpoint: string): DeadpeerError {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return new DeadpeerError("cannot-connect", `${endpoint} ${refusals[code] ?? message}`, {
    operation: "connect",
    errno: code,
    cause: error,
  });
}

const refusals: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses the connection: nothing listens there, or a firewall says so",
  ECONNRESET: "resets the connection as soon as it stands",
  EHOSTUNREACH: "cannot be reached: a router says that there is no such host",
  ENETUNREACH: "cannot be reached: this machine, or a router, has no route there",
  ETIMEDOUT: "does not answer",
  EACCES: "may not be connected to: a firewall of this machine forbids it",
  EADDRNOTAVAIL: "cannot be reached: this machine has no address or port left for it",
  EMFILE: "cannot be connected to: this process may open no more files (ulimit -n)",
};
