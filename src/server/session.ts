import type { KeptSession } from "../heartbeat/session/journal.js";
import type { Transport } from "../heartbeat/session/wire.js";
import { ActiveSession } from "./active-session.js";
import type { SessionHost } from "./host.js";
import type { Place } from "./parking/lot.js";
import type { Shift } from "./parking/shift.js";
import type { HandedBack, Tenant } from "./parking/tenant.js";

/** `away`: its client is not connected, and may come back. */
export type SessionState = "present" | "away" | "ended";

/** Why a session is over. */
export type SessionEnd = "bye" | "expired" | "closed" | "server-closed";

/** A client's session, through all its connections. */
export interface Session {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly state: SessionState;
  /** Over what it is connected now, or was last. */
  readonly transport: Transport | null;
  /** Its address now, or where it was last. */
  readonly remote: { readonly address: string; readonly port: number } | null;
  /** For how long nothing has arrived; while it is away, for how long it has been. */
  readonly silentMs: number;
  /** Messages that wait, or are not yet acknowledged. */
  readonly queued: number;
  /** The sequence of the last message that was given to `send`, and of the last that arrived. */
  readonly given: number;
  readonly received: number;
  /** What the application likes to keep here. */
  context: unknown;
  /**
   * Sends a message, at once or when the client is back. The bytes are not copied: leave them as they are.
   *
   * @returns false if it was dropped (`drop-newest`).
   * @throws DeadpeerError `queue-full`, `connection-closed`; `bad-option` for more than the server's `maxPayload`, and what is neither text nor bytes.
   */
  send(payload: Uint8Array | string): boolean;
  /** Ends the session, and its connection with a goodbye. */
  close(text?: string): void;
  /** Ends the connection by a policy; the session waits, and its client may come back. */
  evict(text: string): void;
}

/**
 * A session as the application has it, and as the lot knows it. While it is parked, and nothing was special about it, this is all there
 * is of it beside its rows in typed arrays, the roster's and the lot's: 80 bytes. What it needs to do more is made when it does.
 */
export class HostedSession implements Session, Tenant {
  context: unknown = undefined;
  /** In the roster; of one that is over, somebody else's by now. */
  readonly row: number;
  readonly #host: SessionHost;
  /** Null only while it is parked. */
  #active: ActiveSession | null = null;
  /** Where in the lot its connection is; null: it is not there. */
  #shift: Shift | null = null;
  #slot = 0;

  private constructor(host: SessionHost, id: Uint8Array) {
    this.#host = host;
    this.row = host.roster.enter(id, this);
  }

  /**
   * A session that is in the roster from now on.
   *
   * @param kept what another process has left behind of it.
   * @throws what the store throws; then nothing is left behind.
   */
  static begin(host: SessionHost, id: Uint8Array, kept: KeptSession | null): HostedSession {
    const session = new HostedSession(host, id);
    try {
      session.#active = new ActiveSession(host, session, kept);
    } catch (error) {
      host.roster.leave(session.row);
      throw error;
    }
    return session;
  }

  get id(): string {
    return this.#active?.formerId ?? this.#host.roster.idOf(this.row);
  }

  get state(): SessionState {
    return this.#active?.state ?? "present";
  }

  get transport(): Transport | null {
    return this.#active === null ? "tcp" : this.#active.transport;
  }

  get remote(): { readonly address: string; readonly port: number } | null {
    return this.#active === null ? (this.#shift?.remote(this.#slot) ?? null) : this.#active.remote;
  }

  get silentMs(): number {
    if (this.#active !== null) return this.#active.silentMs;
    return this.#host.agenda.nowMs - (this.#shift?.heardMs(this.#slot) ?? 0);
  }

  get queued(): number {
    return this.#active?.queued ?? 0;
  }

  // Of what was sent to one that is only parked, everything was acknowledged.
  get given(): number {
    return this.#active?.given ?? this.#shift?.terms(this.#slot).acknowledged ?? 0;
  }

  get received(): number {
    return this.#active?.received ?? this.#shift?.terms(this.#slot).received ?? 0;
  }

  send(payload: Uint8Array | string): boolean {
    return this.awake().send(payload);
  }

  close(text = ""): void {
    this.awake().close(text);
  }

  evict(text: string): void {
    this.awake().evict(text);
  }

  /** null: it is parked, and does nothing. */
  get active(): ActiveSession | null {
    return this.#active;
  }

  /** The same, made where there is none. */
  awake(): ActiveSession {
    const { place } = this;
    if (this.#active === null && place !== null) this.#active = ActiveSession.outOf(this.#host, this, place);
    return this.#active as ActiveSession;
  }

  // The lot.

  get parked(): boolean {
    return this.#shift !== null;
  }

  get place(): Place | null {
    return this.#shift === null ? null : { shift: this.#shift, slot: this.#slot };
  }

  enterLot(place: Place): void {
    this.#shift = place.shift;
    this.#slot = place.slot;
    if (this.#active?.intoRow(place) === true) this.#active = null;
  }

  leftLot(): void {
    this.#shift = null;
  }

  /** Fetches it from the lot, if it is there. */
  recall(): void {
    this.#shift?.recall(this.#slot);
  }

  handedBack(back: HandedBack): void {
    this.awake().handedBack(back);
  }
}
