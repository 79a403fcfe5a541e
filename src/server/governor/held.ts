import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { beforeDestroy, type DestroyListener } from "../../guard/before-destroy.js";
import type { Due } from "../agenda.js";
import type { EvictionReason, Notes } from "./assess.js";
import type { Client } from "./clients.js";
import type { ProxyHeader } from "./proxy-protocol.js";
import type { HeldSession } from "./session.js";

/** Who looks after the connections that are held. */
export interface Holder {
  /** It is time to look at this one. */
  due(held: Held): void;
  /** Its socket is about to close. */
  closed(held: Held): void;
}

const heldOn = Symbol("deadpeer held connection");
type HeldSocket = Socket & { [heldOn]?: Held };

/**
 * One connection of a governed server. There may be very many: one small object each, whole milliseconds of the governor's own clock
 * (which V8 keeps without a heap number for 24 days), and no listener: http adds one to a socket's "close" for each response, and the
 * array that V8 then keeps of more than two has room for seventeen others.
 */
export class Held implements Due, Notes, DestroyListener {
  place = -1;
  /** As accepted; under TLS the one below. */
  readonly socket: Socket;
  /** What the program has: the TLS socket; null: `socket` itself, or TLS is not agreed on yet. */
  app: Socket | null = null;
  /** HTTP/2. */
  session: HeldSession | null = null;
  readonly secure: boolean;
  readonly holder: Holder;
  /** Who counts it; null: nobody is counted. */
  client: Client | null = null;
  /** As whom a cluster's primary counts it; null: it does not. */
  askedAs: string | null = null;
  /** Beside it in its client's list. */
  before: Held | null = null;
  behind: Held | null = null;
  /** Why it is let go in order, and when that is over. */
  retiring: EvictionReason | null = null;
  leaveByMs = 0;
  /** Of pipelined requests: the response that came last into the line behind the one in progress. */
  queued: ServerResponse | null = null;
  /** The response that says that it is the last. */
  farewell: ServerResponse | null = null;
  /** It is being ended, and counts no more. */
  leaving = false;
  /** Its other side is waited for. */
  lingering = false;
  /** For whom a proxy speaks, and how many bytes it took to say so. */
  proxied: ProxyHeader | null = null;
  preface = 0;

  /** What had been written when its client asked for an upgrade, which is answered until more is; -1: it has not asked. */
  upgradeAt = -1;

  readonly acceptedMs: number;
  ageAtMs = -1;
  progressMs: number;
  read = 0;
  taken = 0;
  windowMs = -1;
  windowRead = 0;
  windowTaken = 0;
  windowWaiting = 0;
  windowUploading = false;

  constructor(socket: Socket, holder: Holder, secure: boolean, nowMs: number) {
    this.socket = socket;
    this.holder = holder;
    this.secure = secure;
    this.acceptedMs = nowMs;
    this.progressMs = nowMs;
    (socket as HeldSocket)[heldOn] = this;
    beforeDestroy(socket, this);
  }

  /** The TLS socket stands for it as well. */
  secured(app: Socket): void {
    this.app = app;
    (app as HeldSocket)[heldOn] = this;
  }

  /** Lets go of the socket, which lives on. */
  release(): void {
    delete (this.socket as HeldSocket)[heldOn];
    if (this.app !== null) delete (this.app as HeldSocket)[heldOn];
  }

  due(): void {
    this.holder.due(this);
  }

  socketDestroyed(): void {
    if (heldBy(this.socket) === this) this.holder.closed(this);
  }
}

/** What is held of a socket; null: nothing. */
export function heldBy(socket: Socket): Held | null {
  return (socket as HeldSocket)[heldOn] ?? null;
}
