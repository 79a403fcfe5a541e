import type { Agent, ClientRequest, IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

/**
 * What Node's Agent and ClientRequest have beyond their types, of which this room makes use. `addRequest`, `getName`, `freeSockets` and
 * the fields of outgoing messages are as old as Node's agents are, and overridden by agents in the wild.
 */

/** Where a request is to go. */
export type AgentRequestOptions = object & {
  readonly host?: string | null;
  readonly port?: string | number | null;
};

export interface AgentInternals extends Agent {
  readonly scheduling: "lifo" | "fifo";
  readonly options: { readonly timeout?: number };
  /** Finds the request a socket: an idle one, a new one, or a place in the queue. */
  addRequest(request: ClientRequest, options: AgentRequestOptions): void;
}

/** Bytes that wait for a socket. */
interface Output {
  readonly data: string | Uint8Array;
  readonly encoding: BufferEncoding | null | undefined;
  readonly callback: (() => void) | null;
}

export interface RequestInternals extends Omit<ClientRequest, "socket" | "emit" | "destroy"> {
  socket: Duplex | null;
  destroyed: boolean;
  reusedSocket: boolean;
  readonly res: IncomingMessage | null;
  /** Request line and header fields, as they go over the wire. */
  readonly _header: string | null;
  /** The header has been handed on, to the socket or to those that wait for one. */
  readonly _headerSent: boolean;
  _closed: boolean;
  outputData: Output[];
  outputSize: number;
  /** Set while somebody is to be told of a socket's silence. */
  timeoutCb: (() => void) | null;
  emit(event: string | symbol, ...given: unknown[]): boolean;
  destroy(error?: Error): this;
  /** Everything after the header passes here, in the form in which it goes over the wire. */
  _send(data: string | Uint8Array, ...rest: unknown[]): boolean;
}

/** Whether this Node's requests are made as this room knows them. */
export function hasInternals(request: object): boolean {
  const { _send, outputData, outputSize, destroyed, _closed } = request as Partial<RequestInternals>;
  return (
    typeof _send === "function" &&
    Array.isArray(outputData) &&
    typeof outputSize === "number" &&
    destroyed === false &&
    _closed === false
  );
}
