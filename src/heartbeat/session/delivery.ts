import type { TimerClock } from "../../time/clock.js";
import { type Timer, timersOf } from "../../time/timers.js";
import type { SessionJournal } from "./journal.js";
import { Outbox, type Outgoing, type QueueBounds } from "./outbox.js";
import type { Wire } from "./wire.js";

/** Over datagrams, so much is on its way at a time: no more than a path's usual buffers hold. */
const window = { messages: 64, bytes: 65_536 } as const;
/** Before anything is sent again over datagrams; each time twice as long, up to the second. */
const againMs = { first: 200, most: 5_000 } as const;

export interface DeliveryOptions {
  readonly clock: TimerClock;
  readonly bounds: QueueBounds;
  readonly journal: SessionJournal | null;
  /** What another process of this side has left behind. */
  readonly kept?: {
    readonly received: number;
    readonly acknowledged: number;
    readonly queue: readonly Uint8Array[];
  };
  /** A message of the peer's, once and in order. */
  readonly onData: (payload: Uint8Array, sequence: number) => void;
  /** A message that is not going to arrive. */
  readonly onDropped: (payload: Uint8Array) => void;
  /** Everything given has been acknowledged. */
  readonly onEmpty?: () => void;
}

/** Why a connection cannot go on. */
export interface Offence {
  readonly text: string;
  /** The peer broke the rules; or what it sent cannot be kept on this side. */
  readonly by: "peer" | "store";
}

/**
 * At-least-once delivery in both directions of one session, over one connection after the other: numbers what is sent, keeps it until
 * it is acknowledged, sends it again over the next connection, and takes each message of the peer's once.
 */
export class Delivery {
  readonly outbox: Outbox;
  readonly #options: DeliveryOptions;
  #received: number;
  #toldReceived: number;
  #wire: Wire | null = null;
  #peerMaxPayload = 0;
  /** Only over datagrams. */
  #again: Timer | null = null;
  #againMs: number = againMs.first;
  #full = false;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    const { received = 0, acknowledged = 0, queue = [] } = options.kept ?? {};
    this.outbox = new Outbox(options.bounds, { acknowledged, queue });
    this.#received = received;
    this.#toldReceived = received;
  }

  /** The sequence of the last message that was taken. */
  get received(): number {
    return this.#received;
  }

  /** The sequence of the last message that was given. */
  get given(): number {
    return this.outbox.acknowledged + this.outbox.length;
  }

  /** `received` has been said to the peer in another message. */
  toldReceived(): number {
    this.#toldReceived = this.#received;
    return this.#received;
  }

  /** @throws DeadpeerError `queue-full`; what the journal throws, and then nothing was given. @returns false if it was dropped. */
  push(payload: Uint8Array): boolean {
    const { journal, onDropped } = this.#options;
    const queued = this.outbox.push(payload, ({ sequence, payload: dropped }) => {
      if (dropped !== payload) journal?.dropped(sequence);
      onDropped(dropped);
    });
    if (!queued) return false;
    try {
      journal?.pushed(payload);
    } catch (error) {
      this.outbox.takeBack();
      throw error;
    }
    this.pump();
    return true;
  }

  /**
   * The session goes on over this wire.
   *
   * @param peer what its hello says.
   */
  attach(wire: Wire, peer: { readonly received: number; readonly maxPayload: number }): Offence | null {
    this.detach();
    const offence = this.acknowledged(peer.received);
    if (offence !== null) return offence;
    this.outbox.again();
    this.#wire = wire;
    this.#peerMaxPayload = Math.min(peer.maxPayload, wire.maxPayload);
    this.#full = false;
    this.#againMs = againMs.first;
    if (!wire.reliable)
      this.#again = timersOf(this.#options.clock).timer(() => {
        this.outbox.again();
        this.#againMs = Math.min(this.#againMs * 2, againMs.most);
        this.pump();
      });
    this.pump();
    return null;
  }

  /** The same connection goes on over this wire: what was sent stays sent. */
  goOn(wire: Wire): void {
    this.#wire = wire;
  }

  /** Whether the session goes over this wire. */
  isOn(wire: Wire): boolean {
    return this.#wire === wire;
  }

  detach(): void {
    this.#wire = null;
    this.#again?.close();
    this.#again = null;
  }

  /** The peer begins anew and knows of nothing: what waits goes to it from number 1. */
  restart(): void {
    this.outbox.renumber();
    this.#received = 0;
    this.#toldReceived = 0;
  }

  /** A message arrived. */
  data(sequence: number, payload: Uint8Array): Offence | null {
    if (sequence <= this.#received) {
      // Sent again because our word about it was lost, over datagrams; said again.
      if (this.#wire?.reliable === false) this.#toldReceived = -1;
      return sequence === 0 ? broke("data with the sequence 0") : null;
    }
    if (sequence !== this.#received + 1)
      return this.#wire?.reliable === false
        ? null
        : broke(`data with the sequence ${sequence} after ${this.#received}`);
    // Journalled after it was handed over: a crash in between hands it over again, and loses nothing.
    this.#options.onData(payload, sequence);
    const unkept = this.#record((journal) => journal.received(sequence));
    if (unkept === null) this.#received = sequence;
    return unkept;
  }

  /** The peer says what it has taken. */
  acknowledged(received: number): Offence | null {
    const taken = this.outbox.acknowledge(received);
    if (taken === null) return broke(`an acknowledgement of ${received}, which was never sent`);
    if (taken === 0) return null;
    const unkept = this.#record((journal) => journal.acknowledged(received));
    if (unkept !== null) return unkept;
    this.#againMs = againMs.first;
    if (this.#wire !== null) this.pump();
    if (this.outbox.length === 0) this.#options.onEmpty?.();
    return null;
  }

  /** What is not kept is not said to be taken: the connection ends, and the next one brings it again. */
  #record(write: (journal: SessionJournal) => void): Offence | null {
    const { journal } = this.#options;
    if (journal === null) return null;
    try {
      write(journal);
      return null;
    } catch (error) {
      return unkept(error);
    }
  }

  /** Says what has been taken, if that is news. */
  acknowledge(): void {
    if (this.#wire === null || this.#toldReceived === this.#received) return;
    this.#wire.send({ type: "acknowledgement", received: this.toldReceived() });
  }

  drained(): void {
    this.#full = false;
    this.pump();
  }

  /** Sends what the wire takes. */
  pump(): void {
    const wire = this.#wire;
    if (wire === null) return;
    for (let next = this.outbox.next(); next !== null && !this.#full; next = this.outbox.next()) {
      if (next.payload.length > this.#peerMaxPayload) {
        if (!this.#dropTooLong(next)) break;
        continue;
      }
      if (!wire.reliable && !this.#inWindow(next)) break;
      this.#full = !wire.send({ type: "data", ...next });
      // What is sent may be acknowledged, and the connection may end, before `send` returns.
      if (this.#wire !== wire) return;
      this.outbox.advance();
    }
    if (this.#again === null) return;
    if (this.outbox.unacknowledged > 0) this.#again.set(this.#againMs);
    else this.#again.clear();
  }

  #inWindow({ payload }: Outgoing): boolean {
    const { unacknowledged } = this.outbox;
    return (
      unacknowledged === 0 ||
      (unacknowledged < window.messages && payload.length * (unacknowledged + 1) <= window.bytes)
    );
  }

  #dropTooLong({ sequence, payload }: Outgoing): boolean {
    if (this.outbox.nextWasSent || this.#record((journal) => journal.dropped(sequence)) !== null)
      return false;
    this.outbox.dropNext();
    this.#options.onDropped(payload);
    return true;
  }
}

function broke(text: string): Offence {
  return { text, by: "peer" };
}

/** @param error what a store has thrown. */
export function unkept(error: unknown): Offence {
  const reason = error instanceof Error ? error.message : String(error);
  return { text: `the session cannot be kept: ${reason}`, by: "store" };
}
