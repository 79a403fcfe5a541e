import { EventEmitter } from "node:events";
import type { Server, Socket } from "node:net";
import { DeadpeerError } from "../errors.js";
import { libcProblem } from "../kernel/libc.js";
import type { Settings } from "../plan/settings.js";
import { type Applied, applyByFd, applySettings } from "./apply.js";
import { closeOnAbort, forgetOnAbort } from "./closing.js";
import { requireTcp } from "./inner-socket.js";
import { settingsFrom, type Wanted } from "./settings.js";

export interface ListenerGuardEvents {
  /** The settings could not be given to the listening socket, or to an accepted one. */
  error: [error: DeadpeerError];
}

/** Gives a server's connections their settings; made by `guardListener`. */
export class ListenerGuard extends EventEmitter<ListenerGuardEvents> implements Disposable {
  readonly #server: Server;
  readonly #settings: Settings;
  readonly #signal: AbortSignal | undefined;
  #applied: Applied | null = null;

  constructor(server: Server, settings: Settings, signal: AbortSignal | undefined) {
    super();
    this.#server = server;
    this.#settings = settings;
    this.#signal = signal;
    if (server.listening) this.#apply();
    // Kept on: a server that is closed and listens again has a new socket.
    server.prependListener("listening", this.#onListening);
    if (signal !== undefined) closeOnAbort(signal, this);
  }

  /** What was done last; null until the server listens, and while each accepted socket still has to be set. */
  get applied(): Applied | null {
    return this.#applied;
  }

  /** Lets go of the server. A listening socket keeps its settings, and so its connections to come inherit them. */
  close(): void {
    this.#server.off("listening", this.#onListening);
    this.#server.off("connection", this.#onConnection);
    if (this.#signal !== undefined) forgetOnAbort(this.#signal, this);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  readonly #onListening = (): void => this.#loudly(() => this.#apply());

  readonly #onConnection = (socket: Socket): void =>
    this.#loudly(() => {
      this.#applied = applySettings(socket, this.#settings);
    });

  #apply(): void {
    const handle = (this.#server as unknown as { readonly _handle: ListeningHandle | null })._handle;
    if (handle?.fd !== undefined) requireTcp(handle);
    // Linux copies the listening socket's settings to the accepted ones (tcp_create_openreq_child clones the socket).
    if (handle?.fd !== undefined && handle.fd >= 0 && libcProblem() === null) {
      this.#applied = applyByFd(handle.fd, this.#settings);
      return;
    }
    // A cluster worker whose primary listens and deals out connections (SCHED_RR), or a platform without inheritance.
    this.#server.off("connection", this.#onConnection);
    this.#server.prependListener("connection", this.#onConnection);
  }

  #loudly(work: () => void): void {
    try {
      work();
    } catch (error) {
      // A connection that was gone before it was looked at is no news.
      if (error instanceof DeadpeerError && error.code === "no-socket" && this.#server.listening) return;
      process.nextTick(() => this.emit("error", error as DeadpeerError));
    }
  }
}

interface ListeningHandle {
  readonly fd?: number;
  readonly getpeername?: unknown;
}

/**
 * Gives every connection that a server accepts the settings under which a dead peer is noticed: on Linux set once, on the
 * listening socket, from which accepted ones inherit. Takes net, tls, http, https and http2 servers, listening or not yet.
 * Connections that were accepted before keep what they have.
 *
 * Where no listening socket is at hand (a cluster worker under round robin, off Linux, without koffi) each accepted socket is
 * set as it arrives. A server made with `keepAlive: true` has Node set keepalive on each accepted socket, over this.
 *
 * It gives no verdicts: use `guard` on the connections that matter.
 *
 * @throws DeadpeerError as `guard`.
 * @example
 * const server = http.createServer(app).listen(8080);
 * guardListener(server, { detectWithin: "35s" });
 */
export function guardListener(
  server: Server,
  wanted: Wanted,
  { signal }: { readonly signal?: AbortSignal } = {},
): ListenerGuard {
  // For callers without a type checker: plain objects have neither a listening socket nor events.
  if (!(server instanceof EventEmitter) || typeof (server as Partial<Server>).listen !== "function")
    throw new DeadpeerError("no-socket", "guardListener: give a server, such as http.createServer() makes");
  if (signal?.aborted === true)
    throw new DeadpeerError("aborted", "guardListener: the signal was already aborted");
  return new ListenerGuard(server, settingsFrom(wanted), signal);
}
