import type { Socket } from "node:net";
import type { Clock } from "../../time/clock.js";
import { parseKeepAlive } from "../keep-alive-header.js";
import type { Origin } from "./origin.js";
import { tcpFacts } from "./tcp-facts.js";

/** Idle for less than this, a connection stands: Node itself has just read from it, and the kernel need not be asked. */
export const justUsedMs = 20;

/** One connection, as far as it matters for using it again. */
export class Connection {
  readonly socket: Socket;
  readonly origin: Origin;
  /** HTTP/2: answers to several requests come side by side. */
  readonly multiplexed: boolean;
  readonly #clock: Clock;
  /** Requests that are on it now. */
  #active = 0;
  #served = 0;
  #keepAlive = "";
  #hintMs: number | null = null;
  /** On the monotonic clock. */
  #idleSince = 0;
  /** By how much the wall clock was ahead of the monotonic one when the connection was last looked at. */
  #wallAheadMs: number;

  constructor(socket: Socket, origin: Origin, clock: Clock) {
    this.socket = socket;
    this.origin = origin;
    this.multiplexed = (socket as { readonly alpnProtocol?: unknown }).alpnProtocol === "h2";
    this.#clock = clock;
    this.#wallAheadMs = clock.now() - clock.monotonic();
  }

  /** It has answered a request before. */
  get reused(): boolean {
    return this.#served > 0;
  }

  /** No request has been on it. */
  get unused(): boolean {
    return this.#active === 0 && this.#served === 0;
  }

  get idle(): boolean {
    return this.#active === 0;
  }

  /** The Keep-Alive header of its last answer; "": there was none. */
  get keepAlive(): string {
    return this.#keepAlive;
  }

  requestSent(): void {
    this.#active += 1;
  }

  /** @param header the answer's Keep-Alive header; "": it has none. */
  answerStarted(header: string): void {
    if (header === this.#keepAlive) return;
    this.#keepAlive = header;
    this.#hintMs = header === "" ? null : (parseKeepAlive(header)?.timeoutMs ?? null);
  }

  /** @param answered whether the answer was read to its end. */
  requestEnded(answered: boolean): void {
    this.#active -= 1;
    if (!answered) return;
    this.#served += 1;
    if (this.#active === 0) this.#idleSince = this.#clock.monotonic();
  }

  /** How long it may lie idle after its last answer. */
  get budgetMs(): number {
    return this.origin.idleBudgetMs(this.#hintMs);
  }

  /**
   * For how long it has been idle at this moment; 0 while a request is on it, and before the first one.
   *
   * A machine that was suspended sees that on the wall clock only, and the server has not waited meanwhile: what the wall clock has
   * gained since somebody asked before counts as idle. So it is read once for each request, and not at the end of each as well.
   */
  idleMs(): number {
    if (this.#active > 0 || this.#served === 0) return 0;
    const monotonic = this.#clock.monotonic();
    const wallAheadMs = this.#clock.now() - monotonic;
    if (wallAheadMs > this.#wallAheadMs) this.#idleSince -= wallAheadMs - this.#wallAheadMs;
    this.#wallAheadMs = wallAheadMs;
    return monotonic - this.#idleSince;
  }

  /**
   * Whether the peer's FIN or RST has arrived, and Node has not got round to reading it.
   *
   * @param idleMs as it has just been read.
   */
  endedUnread(idleMs: number): boolean {
    return (
      this.#active === 0 && !this.multiplexed && idleMs >= justUsedMs && tcpFacts(this.socket)?.open === false
    );
  }

  /**
   * Whether it lies idle for longer than its server, as far as known, keeps it.
   *
   * @param idleMs as it has just been read.
   */
  expired(idleMs: number): boolean {
    if (this.#active > 0 || this.#served === 0) return false;
    // Over HTTP/2 a server says goodbye (GOAWAY) and names the requests that it has not seen. There is no hint, and no need to guess.
    if (this.multiplexed && this.origin.measuredMs === null) return false;
    const budgetMs = this.budgetMs;
    if (idleMs >= budgetMs) return true;
    if (idleMs < budgetMs / 2) return false;
    // The round trip was measured when connections were made. Where it begins to matter, how it is today is worth a system call.
    const roundTripMs = tcpFacts(this.socket)?.roundTripMs ?? null;
    if (roundTripMs === null) return false;
    this.origin.roundTrip.add(roundTripMs);
    return idleMs >= this.budgetMs;
  }
}
