import type { Socket } from "node:net";
import type { Clock } from "../../time/clock.js";
import { parseKeepAlive } from "../keep-alive-header.js";
import type { Origin } from "./origin.js";
import { tcpFacts } from "./tcp-facts.js";

/** Below this the kernel is not asked whether an idle connection still stands: Node itself has just read from it. */
const justUsedMs = 20;

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
  #idleSinceMonotonic = 0;
  #idleSinceWall = 0;

  constructor(socket: Socket, origin: Origin, clock: Clock) {
    this.socket = socket;
    this.origin = origin;
    this.multiplexed = (socket as { readonly alpnProtocol?: unknown }).alpnProtocol === "h2";
    this.#clock = clock;
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
    if (this.#active > 0) return;
    this.#idleSinceMonotonic = this.#clock.monotonic();
    this.#idleSinceWall = this.#clock.now();
  }

  /** How long it may lie idle after its last answer. */
  get budgetMs(): number {
    return this.origin.idleBudgetMs(this.#hintMs);
  }

  /** Since its last answer. */
  get idleMs(): number {
    // A machine that was suspended sees it on the wall clock only, and the server has not waited meanwhile.
    return Math.max(
      this.#clock.monotonic() - this.#idleSinceMonotonic,
      this.#clock.now() - this.#idleSinceWall,
    );
  }

  /** The peer's FIN or RST has arrived, and Node has not got round to reading it. */
  get endedUnread(): boolean {
    return (
      this.#active === 0 &&
      !this.multiplexed &&
      this.#clock.monotonic() - this.#idleSinceMonotonic >= justUsedMs &&
      tcpFacts(this.socket)?.open === false
    );
  }

  /** Whether it lies idle for longer than its server, as far as known, keeps it. */
  get expired(): boolean {
    if (this.#active > 0 || this.#served === 0) return false;
    // Over HTTP/2 a server says goodbye (GOAWAY) and names the requests that it has not seen. There is no hint, and no need to guess.
    if (this.multiplexed && this.origin.measuredMs === null) return false;
    const { idleMs } = this;
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
