import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Custodian } from "./custodian.js";
import type { Entrance, Refusal } from "./entrance.js";
import { clientBehind, hopsIn } from "./forwarded.js";
import { type Held, heldBy } from "./held.js";
import { addressOf } from "./networks.js";
import type { GovernorSettings } from "./policy.js";

type HeaderSettings = NonNullable<GovernorSettings["client"]["header"]>;

const tooMany =
  "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";

/**
 * Connections of HTTP proxies: whose one is, each request says. It counts as its client's while a request of the client is answered
 * on it, and once upgraded for as long as it lasts.
 */
export class HeaderClients {
  readonly #header: HeaderSettings;
  readonly #custodian: Custodian;
  readonly #entrance: Entrance;
  readonly #refused: (refusal: Refusal) => void;

  constructor(
    header: HeaderSettings,
    custodian: Custodian,
    entrance: Entrance,
    refused: (refusal: Refusal) => void,
  ) {
    this.#header = header;
    this.#custodian = custodian;
    this.#entrance = entrance;
    this.#refused = refused;
  }

  /** @returns false: it was one too many, and is answered with 429. */
  request(request: IncomingMessage, response: ServerResponse): boolean {
    const held = heldBy(request.socket);
    if (held === null || request.httpVersionMajor > 1 || !this.#named(held)) return true;
    if (!this.#assign(held, request)) {
      response.writeHead(429, { "Retry-After": "1", "Content-Length": "0" }).end();
      return false;
    }
    response.once("close", () => {
      if (!held.leaving) this.#custodian.clients.part(held, this.#custodian.nowMs);
    });
    return true;
  }

  upgrade(request: IncomingMessage, socket: Socket): boolean {
    const held = heldBy(socket);
    if (held === null || !this.#named(held) || this.#assign(held, request)) return true;
    socket.end(tooMany);
    return false;
  }

  /** Whether it comes from a proxy that is believed. */
  #named(held: Held): boolean {
    return !held.leaving && this.#header.from.has(addressBehind(held));
  }

  #assign(held: Held, request: IncomingMessage): boolean {
    const { clients, nowMs } = this.#custodian;
    const value = request.headers[this.#header.name];
    const hops = hopsIn(this.#header.name, Array.isArray(value) ? value.join(",") : (value ?? ""));
    const address = clientBehind(hops, (hop) => this.#header.from.has(hop)) ?? addressBehind(held);
    const key = this.#entrance.keyOf({ address, port: 0, request });
    clients.part(held, nowMs);
    const reason = clients.askFor(key, nowMs);
    if (reason === null || (reason === "per-client" && this.#entrance.makeRoomFor(key))) {
      clients.assign(held, key, nowMs);
      return true;
    }
    this.#refused({ reason, address, client: key });
    return false;
  }
}

/** The other end, as far as addresses tell. */
function addressBehind({ proxied, socket }: Held): string {
  return proxied?.source?.address ?? addressOf(socket);
}
