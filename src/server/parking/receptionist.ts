import { constants } from "node:os";
import type { Hello } from "../../heartbeat/protocol/message.js";
import { wholeHello } from "../../heartbeat/protocol/whole-hello.js";
import type { PeerAddress } from "../../kernel/peer-address.js";
import { switchProbesOff } from "../../kernel/socket-options.js";
import { closeFd, receive } from "../../kernel/socket-io.js";
import type { ActiveSession } from "../active-session.js";
import { BareWire } from "./bare-wire.js";
import type { ArrivalKind } from "./handback.js";
import type { Reception, Shift } from "./shift.js";

/** More than any hello has. */
const roomBytes = 2_048;

export interface ReceptionistOptions {
  readonly handshakeMs: number;
  readonly mostGreeting: number;
  /** The server closes: who has not said hello by now is let go, without a word. */
  readonly closing: () => boolean;
  /** Answers a hello. @returns null: the client was told to go. */
  readonly greet: (wire: BareWire, hello: Hello) => ActiveSession | null;
  readonly refused: (remote: PeerAddress | null, problem: string) => void;
  /** Something else than a hello has come, these bytes, or nothing yet: Node is to see to it. */
  readonly connect: (fd: number, bytes: Buffer | null) => void;
  /** The session needs a socket at once, and `unsent` goes first. */
  readonly resume: (fd: number, session: ActiveSession, unsent: Buffer | null) => void;
  /** The connection is to end in order, after this. */
  readonly farewell: (fd: number, unsent: Buffer | null) => void;
}

/**
 * Greets connections that the lot has accepted. One whose hello is whole is answered from here, with two system calls, and stays in the
 * lot: it never has a socket of Node's. Everything else gets one.
 */
export class Receptionist implements Reception {
  readonly #options: ReceptionistOptions;
  readonly #room = Buffer.alloc(roomBytes);
  /** As much of it as was read last. */
  #bytes = this.#room;

  constructor(options: ReceptionistOptions) {
    this.#options = options;
  }

  get handshakeMs(): number {
    return this.#options.handshakeMs;
  }

  get mostGreeting(): number {
    return this.#options.mostGreeting;
  }

  arrived(shift: Shift, slot: number, kind: ArrivalKind): void {
    const closing = this.#options.closing();
    if (kind === "heard" && !closing) {
      this.#read(shift, slot);
      return;
    }
    const remote = shift.remote(slot);
    const fd = shift.release(slot);
    if (fd >= 0) closeFd(fd);
    if (kind !== "heard" && !closing) this.#options.refused(remote, this.#problems[kind]);
  }

  stranded(fd: number): void {
    if (this.#options.closing()) closeFd(fd);
    else this.#options.connect(fd, null);
  }

  get #problems(): Readonly<Record<Exclude<ArrivalKind, "heard">, string>> {
    return {
      overdue: `no hello within ${this.#options.handshakeMs} ms`,
      excess: tooManyGreetings,
      full: "this process has no descriptors left",
    };
  }

  #read(shift: Shift, slot: number): void {
    const length = receive(shift.fd(slot), this.#room);
    if (length > 0) {
      // New clients' hellos are of one length, mostly.
      if (length !== this.#bytes.length) this.#bytes = this.#room.subarray(0, length);
      const bytes = this.#bytes;
      const hello = wholeHello(bytes);
      if (hello === null) this.#options.connect(shift.release(slot), Buffer.from(bytes));
      else this.#greet(shift, slot, hello);
      return;
    }
    const fd = shift.release(slot);
    if (length === -constants.errno.EAGAIN) this.#options.connect(fd, null);
    // It ended before it said anything.
    else closeFd(fd);
  }

  #greet(shift: Shift, slot: number, hello: Hello): void {
    const wire = new BareWire(shift, slot);
    // As a session does with its socket: who will be heard need not be probed.
    if (hello.sendEveryMs > 0) switchProbesOff(shift.fd(slot));
    let session: ActiveSession | null = null;
    try {
      session = this.#options.greet(wire, hello);
    } finally {
      const { state, unsent } = wire;
      const stays =
        state === "open" && unsent === null && session?.staysInLot(wire, { shift, slot }) === true;
      if (!stays) this.#letGo(shift.release(slot), session, state, unsent);
      wire.destroy();
    }
  }

  #letGo(fd: number, session: ActiveSession | null, state: BareWire["state"], unsent: Buffer | null): void {
    if (state === "ended") this.#options.farewell(fd, unsent);
    else if (state === "open" && session !== null) this.#options.resume(fd, session, unsent);
    else closeFd(fd);
  }
}

/** Why somebody is refused who would be one too many. */
export const tooManyGreetings = "too many connections that have not said hello";
