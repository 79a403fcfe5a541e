import { encode } from "../../heartbeat/protocol/encode.js";
import { limits, type Message } from "../../heartbeat/protocol/message.js";
import type { Wire } from "../../heartbeat/session/wire.js";
import type { PeerAddress } from "../../kernel/peer-address.js";
import { transmit } from "../../kernel/socket-io.js";
import type { Shift } from "./shift.js";

/**
 * A connection that the lot has accepted, while its hello is dealt with: what is sent goes to the kernel at once, and what the kernel
 * does not take waits for the socket that the connection then needs. After that it is over, and takes nothing.
 */
export class BareWire implements Wire {
  readonly transport = "tcp";
  readonly reliable = true;
  readonly maxPayload = limits.dataPayload;
  readonly socket = null;
  // Beats are answered over what follows it.
  readonly crowded = false;
  readonly #shift: Shift;
  readonly #slot: number;
  #unsent: Buffer[] | null = null;
  #state: "open" | "ended" | "destroyed" = "open";

  constructor(shift: Shift, slot: number) {
    this.#shift = shift;
    this.#slot = slot;
  }

  get remote(): PeerAddress | null {
    return this.#shift.remote(this.#slot);
  }

  /** Ended in order, and at once. */
  get state(): "open" | "ended" | "destroyed" {
    return this.#state;
  }

  /** What the kernel has not taken; null: it has taken everything. */
  get unsent(): Buffer | null {
    return this.#unsent === null ? null : Buffer.concat(this.#unsent);
  }

  send(message: Message): boolean {
    if (this.#state !== "open") return true;
    const bytes = encode(message);
    // An error comes again, to whoever reads or writes next.
    const taken =
      this.#unsent === null ? Math.max(0, transmit(this.#shift.fd(this.#slot), bytes, bytes.length)) : 0;
    if (taken < bytes.length) (this.#unsent ??= []).push(bytes.subarray(taken));
    return true;
  }

  end(): void {
    if (this.#state === "open") this.#state = "ended";
  }

  destroy(): void {
    this.#state = "destroyed";
  }
}
