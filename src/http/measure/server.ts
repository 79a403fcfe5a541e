import type { Address } from "../../client/nat/target.js";
import { type Dialled, dial } from "./dial.js";
import { Http1Wire, type RequestShape } from "./http1-wire.js";
import { Http2Wire } from "./http2-wire.js";
import type { Wire } from "./wire.js";

export interface ServerOptions extends RequestShape {
  readonly address: Address;
  readonly ca: string | null;
  readonly insecure: boolean;
  /** HTTP/2 is offered to servers over TLS. */
  readonly http2: boolean;
  readonly patienceMs: number;
  readonly signal: AbortSignal;
}

/** The server under measurement, at one of its addresses: every connection goes there. */
export class Server {
  readonly options: ServerOptions;

  constructor(options: ServerOptions) {
    this.options = options;
  }

  /**
   * A new connection, which the caller closes, or the signal; over HTTP/2 where the server takes that.
   *
   * @throws DeadpeerError `cannot-connect`; whatever the signal is aborted with.
   */
  async open(): Promise<Wire> {
    const dialled = await this.#dial(this.options.http2 ? ["h2", "http/1.1"] : ["http/1.1"]);
    return dialled.alpn === "h2"
      ? new Http2Wire(dialled, this.options)
      : new Http1Wire(dialled, this.options);
  }

  /** The same, over HTTP/1 in any case. */
  async openHttp1(): Promise<Http1Wire> {
    return new Http1Wire(await this.#dial(["http/1.1"]), this.options);
  }

  async #dial(protocols: readonly string[]): Promise<Dialled> {
    const { address, target, ca, insecure, patienceMs, signal } = this.options;
    const tls = target.secure ? { ca, insecure } : null;
    return dial({ address, host: target.host, tls, protocols, patienceMs, signal });
  }
}
