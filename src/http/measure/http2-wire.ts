import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { Socket } from "node:net";
import { systemClock } from "../../kernel/clock.js";
import type { ClockTimer } from "../../time/clock.js";
import type { Dialled } from "./dial.js";
import { dataArrivedMs, packetsOf, rttMsOf, receivedEnd, segmentArrivedMs } from "./kernel-view.js";
import type { RequestShape } from "./http1-wire.js";
import type { Exchange, ExchangeOptions, Fate, Packets, Wire, WireEnd } from "./wire.js";

const statusHeader = constants.HTTP2_HEADER_STATUS;
/** RFC 9113, section 8.2.2: what belongs to a connection may not be in a request. */
const ofConnections = new Set([
  "connection",
  "host",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);
/** How often the kernel is asked whether the connection has ended, of which Node's sessions tell nothing. */
const lookMs = 50;

/** RFC 9113, section 7. */
const errorNames = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
];

function errorName(code: number): string {
  return errorNames[code] ?? `error ${code}`;
}

/** HTTP/2 over one connection, one request at a time. */
export class Http2Wire implements Wire {
  readonly protocol = "HTTP/2";
  readonly unaskedBytes = 0;
  readonly beganMs: number;
  readonly ended: Promise<WireEnd>;
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  readonly #shape: RequestShape;
  #end: WireEnd | null = null;
  #tellEnd: (end: WireEnd) => void = () => {};
  #announced = false;
  /** Of the GOAWAY. */
  #goodbye: number | null = null;
  #closedByUs = false;
  readonly #abort = (): void => this.close();

  constructor({ socket, beganMs }: Dialled, shape: RequestShape) {
    const { target, signal } = shape;
    signal.addEventListener("abort", this.#abort);
    this.#socket = socket;
    this.#shape = shape;
    this.beganMs = beganMs;
    this.ended = new Promise((resolve) => (this.#tellEnd = resolve));
    this.#session = connect(`${target.secure ? "https" : "http"}://${target.authority}`, {
      createConnection: () => socket,
    });
    let failed: WireEnd["by"] | null = null;
    const take = ({ code }: NodeJS.ErrnoException): void => {
      failed ??= code === "ECONNRESET" || code === "EPIPE" ? "rst" : "failed";
    };
    socket.on("error", take);
    this.#session.on("error", take);
    // After it the server takes no more requests (RFC 9113, section 6.8), whatever becomes of the connection.
    this.#session.on("goaway", (code: number) => {
      this.#announced = true;
      this.#goodbye = code;
      this.#over("fin");
    });
    this.#session.on("close", () => this.#over(failed ?? "fin"));
  }

  get end(): WireEnd | null {
    return this.#end;
  }

  get untoldEnd(): WireEnd | null {
    return this.#end === null ? receivedEnd(this.#socket) : null;
  }

  get packets(): Packets {
    return packetsOf(this.#socket);
  }

  get rttMs(): number | null {
    return rttMsOf(this.#socket);
  }

  exchange({ patienceMs }: ExchangeOptions): Promise<Exchange> {
    const beganMs = systemClock.monotonic();
    const headers = new Map<string, readonly string[]>();
    let bodyBytes = 0;
    let settled = false;
    return new Promise((resolve) => {
      const settle = (fate: Fate, problem: string | null = null): void => {
        if (settled) return;
        settled = true;
        systemClock.clear(impatient);
        systemClock.clear(looking);
        const status = Number(headers.get(statusHeader)?.[0] ?? 0);
        const answer =
          status === 0
            ? null
            : { version: "2" as const, status, headers, framing: "length" as const, bodyBytes, interim: 0 };
        resolve({
          fate,
          answer,
          problem,
          beganMs,
          settledMs: systemClock.monotonic(),
          arrivedMs: dataArrivedMs(this.#socket),
        });
      };
      let stream: ClientHttp2Stream | null = null;
      const impatient = systemClock.set(() => {
        settle("lost");
        stream?.close(constants.NGHTTP2_CANCEL);
      }, patienceMs);
      const lookLater = (seenBytes: number | null): ClockTimer =>
        systemClock.set(() => {
          const end = receivedEnd(this.#socket);
          // Two looks with nothing between: what came before the end has been read.
          if (end !== null && seenBytes === bodyBytes)
            settle(headers.size > 0 ? "broken-off" : end.by === "rst" ? "reset" : "closed");
          else looking = lookLater(end === null ? null : bodyBytes);
        }, lookMs);
      let looking = lookLater(null);
      if (this.#end !== null || this.#session.closed || this.#session.destroyed) {
        settle(this.#end?.by === "rst" ? "reset" : "closed");
        return;
      }
      stream = this.#session.request(this.#headers());
      stream.on("response", (received) => {
        // The status is a number among strings.
        for (const [name, value] of Object.entries<unknown>(received))
          headers.set(name, Array.isArray(value) ? value.map(String) : [String(value)]);
      });
      stream.on("data", (bytes: Buffer) => (bodyBytes += bytes.length));
      stream.on("end", () => {
        if (headers.size > 0) settle("answered");
      });
      const code = (): number => stream?.rstCode ?? constants.NGHTTP2_NO_ERROR;
      stream.on("error", (error: NodeJS.ErrnoException) =>
        settle(headers.size > 0 ? "broken-off" : "reset", this.#refusal(error, code())),
      );
      stream.on("close", () => settle(headers.size > 0 ? "broken-off" : "closed"));
    });
  }

  /** What the server did over HTTP/2, the TCP connection being in order; null: it is TCP's reset. */
  #refusal({ code }: NodeJS.ErrnoException, rstCode: number): string | null {
    switch (code) {
      case "ERR_HTTP2_STREAM_ERROR":
        return `resets the request over HTTP/2 (${errorName(rstCode)})`;
      case "ERR_HTTP2_SESSION_ERROR":
        return `ends the connection over HTTP/2 (${errorName(this.#goodbye ?? rstCode)})`;
      default:
        return null;
    }
  }

  /** The session is over by then, and Node's takes no more requests. */
  knock(): null {
    return null;
  }

  close(): void {
    this.#closedByUs = true;
    this.#shape.signal.removeEventListener("abort", this.#abort);
    this.#session.destroy();
    this.#socket.destroy();
  }

  #headers(): Record<string, string> {
    const { target, method, headers } = this.#shape;
    const own: Record<string, string> = {
      ":method": method,
      ":path": target.path,
      "user-agent": "deadpeer",
      accept: "*/*",
    };
    for (const [given, value] of headers) {
      const name = given.toLowerCase();
      if (name === "host") own[":authority"] = value;
      // RFC 9113, section 8.2.2: TE may be there, and say nothing but this.
      else if (!ofConnections.has(name) && (name !== "te" || value === "trailers")) own[name] = value;
    }
    return own;
  }

  #over(by: WireEnd["by"]): void {
    if (this.#closedByUs || this.#end !== null) return;
    this.#end = { by, atMs: segmentArrivedMs(this.#socket), announced: this.#announced };
    this.#tellEnd(this.#end);
  }
}
