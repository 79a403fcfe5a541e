import { DeadpeerError } from "../../errors.js";

/** What becomes of a message for which there is no room: the oldest that was never sent goes, or the new one, or `send` throws. */
export type QueuePolicy = "drop-oldest" | "drop-newest" | "refuse";

export interface QueueBounds {
  /** Messages that may wait, sent and not yet acknowledged ones included. */
  readonly messages: number;
  /** Their bytes. */
  readonly bytes: number;
  readonly policy: QueuePolicy;
}

const policies: readonly QueuePolicy[] = ["drop-oldest", "drop-newest", "refuse"];

/**
 * The bounds that were asked for; where nothing was, 1000 messages of 8 MiB, refuse.
 *
 * @throws DeadpeerError `bad-option`.
 */
export function queueBounds({
  messages = 1_000,
  bytes = 8 * 2 ** 20,
  policy = "refuse",
}: Partial<QueueBounds> = {}): QueueBounds {
  for (const [name, bound] of [
    ["messages", messages],
    ["bytes", bytes],
  ] as const)
    if (!(Number.isSafeInteger(bound) && bound >= 1))
      throw new DeadpeerError("bad-option", `queue.${name}: ${bound} is not a whole number above 0`);
  if (!policies.includes(policy))
    throw new DeadpeerError(
      "bad-option",
      `queue.policy: "${policy}" is none; write ${policies.map((one) => `"${one}"`).join(" or ")}`,
    );
  return { messages, bytes, policy };
}

export interface Outgoing {
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/**
 * Messages on their way to the peer, from the moment they were given until the peer has acknowledged them. They are numbered as they
 * lie, without gaps, so one may only be dropped as long as it was never sent: what has been sent once may have arrived.
 *
 * Pure: it sends nothing itself.
 *
 * @example
 * outbox.push(payload);
 * for (let next = outbox.next(); next !== null && wire.send(next); next = outbox.next()) {}
 */
export class Outbox {
  readonly #bounds: QueueBounds;
  /** What waits; those before `#first` are gone already. */
  #queue: Uint8Array[] = [];
  #first = 0;
  #bytes = 0;
  /** The sequence of the last one that the peer has taken. */
  #acknowledged: number;
  /** The highest that was ever sent. */
  #sent: number;
  /** The highest that was sent over the present connection. */
  #underway: number;

  constructor(bounds: QueueBounds, { acknowledged = 0, queue = [] as readonly Uint8Array[] } = {}) {
    this.#bounds = bounds;
    this.#acknowledged = acknowledged;
    this.#queue = [...queue];
    this.#bytes = queue.reduce((sum, { length }) => sum + length, 0);
    // What another process has left behind may have been sent by it.
    this.#sent = acknowledged + queue.length;
    this.#underway = acknowledged;
  }

  /** Messages that wait, or are not yet acknowledged. */
  get length(): number {
    return this.#queue.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Sent over the present connection and not yet acknowledged. */
  get unacknowledged(): number {
    return this.#underway - this.#acknowledged;
  }

  /**
   * Takes a message; it is not copied.
   *
   * @param dropped told of what had to go for it, or of itself, and the sequence it would have had.
   * @returns false if it was itself dropped.
   * @throws DeadpeerError `queue-full` under the policy `refuse`.
   */
  push(payload: Uint8Array, dropped: (outgoing: Outgoing) => void): boolean {
    const { messages, bytes, policy } = this.#bounds;
    const fits = (): boolean => this.length < messages && this.#bytes + payload.length <= bytes;
    // None goes in vain: only if there is room enough once they are gone.
    if (policy === "drop-oldest" && this.#fitsBehindSent(payload))
      while (!fits() && this.#dropOldest(dropped));
    if (!fits()) {
      if (policy === "refuse")
        throw new DeadpeerError(
          "queue-full",
          `${this.length} messages of ${this.#bytes} bytes wait for the peer already, and ${messages} of ${bytes} bytes are allowed; send later, or set the queue's bounds or policy`,
        );
      dropped({ sequence: this.#acknowledged + this.length + 1, payload });
      return false;
    }
    this.#queue.push(payload);
    this.#bytes += payload.length;
    return true;
  }

  /** What was pushed last, and not sent yet, was not given after all. */
  takeBack(): void {
    this.#bytes -= this.#queue.pop()?.length ?? 0;
  }

  /** The next one for the present connection; null: all are sent. */
  next(): Outgoing | null {
    const payload = this.#queue[this.#first + this.#underway - this.#acknowledged];
    return payload === undefined ? null : { sequence: this.#underway + 1, payload };
  }

  /** `next` was sent. */
  advance(): void {
    this.#underway++;
    this.#sent = Math.max(this.#sent, this.#underway);
  }

  /** Over another connection; then it has to stay. */
  get nextWasSent(): boolean {
    return this.#underway < this.#sent;
  }

  /** The next one cannot be sent to this peer. Only what was never sent may go. @returns false if it was. */
  dropNext(): boolean {
    if (this.nextWasSent) return false;
    const [payload] = this.#queue.splice(this.#first + this.#underway - this.#acknowledged, 1);
    this.#bytes -= payload?.length ?? 0;
    return true;
  }

  /**
   * The peer has taken everything up to here.
   *
   * @returns how many were new; null: that many were never sent, so the peer is mistaken.
   */
  acknowledge(received: number): number | null {
    if (received > this.#sent) return null;
    const taken = received - this.#acknowledged;
    if (taken <= 0) return 0;
    for (let n = 0; n < taken; n++) this.#shift();
    this.#acknowledged = received;
    this.#underway = Math.max(this.#underway, received);
    return taken;
  }

  /** Over a new connection, or where some were lost: everything that was not acknowledged is sent again. */
  again(): void {
    this.#underway = this.#acknowledged;
  }

  /** The peer has forgotten the session: what it had not acknowledged is for the new one, numbered from 1. */
  renumber(): void {
    this.#acknowledged = 0;
    this.#underway = 0;
    this.#sent = 0;
  }

  /** Whether there is room for it beside what was sent already, and so has to stay. */
  #fitsBehindSent(payload: Uint8Array): boolean {
    const count = this.#sent - this.#acknowledged;
    let bytes = payload.length;
    for (let n = 0; n < count; n++) bytes += this.#queue[this.#first + n]?.length ?? 0;
    return count < this.#bounds.messages && bytes <= this.#bounds.bytes;
  }

  #dropOldest(dropped: (outgoing: Outgoing) => void): boolean {
    const index = this.#first + this.#sent - this.#acknowledged;
    if (index >= this.#queue.length) return false;
    const [payload] = this.#queue.splice(index, 1);
    if (payload === undefined) return false;
    this.#bytes -= payload.length;
    try {
      dropped({ sequence: this.#sent + 1, payload });
    } catch (error) {
      // It could not be written down that it is gone, so it is not.
      this.#queue.splice(index, 0, payload);
      this.#bytes += payload.length;
      throw error;
    }
    return true;
  }

  #shift(): void {
    this.#bytes -= this.#queue[this.#first]?.length ?? 0;
    // A hole does not keep the payload in memory; the array is shortened when half of it is holes.
    this.#queue[this.#first++] = gone;
    if (this.#first < 32 || this.#first * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#first);
    this.#first = 0;
  }
}

const gone = new Uint8Array();
