import type { Socket } from "node:net";
import type { Verdict } from "../verdict/verdict.js";

/** A beat that is to be sent. A protocol that has no room for something in it leaves that out. */
export interface OutgoingBeat {
  /** Counts up by one from 1, and around after 2^32 - 1. An answer that repeats it gives a round-trip time. */
  readonly number: number;
  /** How often this side sends something from now on; 0: it promises nothing. */
  readonly sendEveryMs: number;
  /** What the application has to say; mostly empty. */
  readonly payload: Uint8Array;
}

/** What an adapter tells about the peer, as it happens. */
export interface Peer {
  /** Anything arrived: it proves that the peer lives. */
  heard(): void;
  /**
   * A beat was answered.
   *
   * @param number which one; without it, the oldest that was not.
   * @param payload what the peer's application had to say.
   */
  answered(number?: number, payload?: Uint8Array): void;
  /**
   * The peer sent a beat of its own, which the adapter answers where its protocol does not do so by itself.
   *
   * @param sendEveryMs how often the peer sends something from now on, if it says so: this side's patience follows.
   * @returns the payload for the answer.
   */
  beaten(payload?: Uint8Array, sendEveryMs?: number): Uint8Array;
  /** This side sent something else than a beat. Only a promise to send regularly needs it. */
  sent(): void;
  /**
   * The connection has ended by itself, or somebody has closed it: there is nothing left to watch.
   *
   * @param lost it broke, as by a reset; an orderly end does not count against a path.
   */
  ended(lost?: boolean): void;
}

/**
 * One connection of some protocol, as `heartbeat()` sees it. An adapter for a protocol is a few lines: see docs/heartbeat.md.
 *
 * @example
 * const overWs = (ws: WebSocket): HeartbeatAdapter => ({
 *   beat: () => ws.ping(),
 *   close: () => ws.terminate(),
 *   listen(peer) {
 *     const pong = () => peer.answered();
 *     ws.on("pong", pong);
 *     return () => ws.off("pong", pong);
 *   },
 * });
 */
export interface HeartbeatAdapter {
  /** false: the protocol knows no answer to a beat; each side sends its own (AMQP). Default: true. */
  readonly answers?: boolean;
  /** The TCP or TLS socket below, if there is one: the kernel's figures make a verdict more certain. */
  readonly socket?: Socket | null;
  /**
   * Begins to tell the peer's doings; called once.
   *
   * @returns what takes the listeners off again.
   */
  listen(peer: Peer): () => void;
  /** Sends a beat. One that cannot be sent, or throws, counts as unanswered. */
  beat(beat: OutgoingBeat): void;
  /** The peer is dead: lets go of the connection at once, without waiting for a goodbye. */
  close(verdict: Verdict): void;
  /**
   * Whether the peer has taken something that waited for it, since the last call: a slow peer is not a dead one. Looked at before
   * anybody is suspected. Over a socket, `progressOf(socket)` does it.
   */
  progressed?(): boolean;
}
