import type { Socket } from "node:net";
import type { HeartbeatAdapter, OutgoingBeat, Peer } from "../adapter.js";
import { followSocket } from "../follow-socket.js";
import { KernelQuestion } from "../kernel-question.js";
import { progressOf } from "../progress.js";

/** What is the protocol's own. */
export interface OverSocket {
  readonly answers?: boolean;
  /** Sends a beat. */
  readonly beat: (beat: OutgoingBeat) => void;
  /** Begins to tell of answers; what arrives, and the end, is told already. Returns what takes the listeners off. */
  readonly listen: (peer: Peer) => () => void;
  /** Default: ends the socket, unheard. */
  readonly close?: () => void;
  /**
   * The peer's program cannot be asked just now, or its answer would not be read: then its kernel is asked instead. Default:
   * while this side does not read the socket.
   */
  readonly blocked?: () => boolean;
}

/**
 * What the adapters of protocols over one TCP or TLS socket have in common. The program reads the socket by itself.
 *
 * @example overSocket(ws._socket, { beat: () => ws.ping(), listen: (peer) => onPong(ws, () => peer.answered()) })
 */
export function overSocket(socket: Socket, protocol: OverSocket): HeartbeatAdapter {
  const { answers = true, beat, listen, close, blocked = () => socket.isPaused() } = protocol;
  const progressed = progressOf(socket);
  const question = new KernelQuestion(socket);
  return {
    answers,
    socket,
    beat(outgoing) {
      if (blocked()) question.ask();
      else beat(outgoing);
    },
    progressed() {
      // Both look at what has changed since the last time.
      const took = progressed();
      return question.answered() || took;
    },
    close: close ?? (() => socket.destroy()),
    listen(peer) {
      const unfollow = followSocket(socket, peer);
      const detach = listen(peer);
      return () => {
        detach();
        unfollow();
        question.withdraw();
      };
    },
  };
}
