import type { Socket } from "node:net";
import { systemClock } from "../../kernel/clock.js";
import type { TimerClock } from "../../time/clock.js";
import type { HeartbeatAdapter, Peer } from "../adapter.js";
import { progressOf } from "../progress.js";
import { limits, type Message, protocolVersion } from "../protocol/message.js";
import { bytesOf } from "../session/bytes-of.js";
import { endInTime } from "../session/end-in-time.js";
import { StreamWire } from "../session/stream-wire.js";

export interface FramesOptions {
  /** This side accepted the connection: it waits for the other's hello, and answers it. Default: it says hello first. */
  readonly accepted?: boolean;
  /** What the hello promises: something is sent at least this often. Give `heartbeat` the same as `sendEvery`. Default: 0, nothing. */
  readonly sendEveryMs?: number;
  /** What the hello says about this side's patience. Default 40 000. */
  readonly deadlineMs?: number;
  /** A message of the peer's. There is no session: what is lost with a connection is lost. */
  readonly onData?: (payload: Uint8Array) => void;
  /** Default: the system's clocks. */
  readonly clock?: TimerClock;
}

/** An adapter over a connection of one's own, and a way to send messages over it. */
export interface FramesAdapter extends HeartbeatAdapter {
  readonly socket: Socket;
  /** @returns false: the socket is full for now. @throws DeadpeerError `bad-option` for more than 1 MiB, and what is neither text nor bytes. */
  send(payload: Uint8Array | string): boolean;
}

const none = new Uint8Array();

/**
 * deadpeer's own protocol over a TCP or TLS socket, without sessions: both sides use this adapter, or one of them is another
 * program that speaks docs/protocol.md. The socket is read from the moment the heartbeat begins, and carries nothing else.
 *
 * @example
 * const frames = overFrames(socket, { onData: (payload) => handle(payload) });
 * heartbeat(frames, "normal").on("verdict", (verdict) => console.log(verdict.sentence));
 * frames.send(Buffer.from("hello"));
 */
export function overFrames(socket: Socket, options: FramesOptions = {}): FramesAdapter {
  const { accepted = false, sendEveryMs = 0, deadlineMs = 40_000, clock = systemClock } = options;
  let sent = 0;
  let received = 0;
  let greeted = false;
  let wire: StreamWire | null = null;
  /** Given before the hellos were exchanged. */
  const waiting: Message[] = [];

  const send = (message: Message): boolean => {
    if (wire !== null && greeted) return wire.send(message);
    waiting.push(message);
    return false;
  };
  const sayHello = (): void => {
    wire?.send({
      type: "hello",
      version: protocolVersion,
      sendEveryMs,
      deadlineMs,
      maxPayload: limits.dataPayload,
      session: null,
      token: none,
      received: 0,
      key: none,
    });
  };
  const broken = (text: string): void => {
    wire?.send({ type: "bye", reason: "protocol-error", text });
    if (wire !== null) endInTime(wire, clock);
  };

  const heard = (peer: Peer, message: Message): void => {
    switch (message.type) {
      case "hello":
        if (greeted || message.version !== protocolVersion) {
          broken(greeted ? "a second hello" : `version ${protocolVersion} is spoken here`);
          return;
        }
        greeted = true;
        if (accepted) sayHello();
        peer.beaten(none, message.sendEveryMs);
        for (const kept of waiting.splice(0)) wire?.send(kept);
        break;
      case "beat": {
        const payload = peer.beaten(message.payload, message.sendEveryMs);
        if (wire?.crowded === false)
          wire.send({ type: "answer", number: message.number, sendEveryMs, received, payload });
        break;
      }
      case "answer":
        peer.answered(message.number, message.payload);
        break;
      case "data":
        peer.heard();
        if (message.sequence !== received + 1) {
          broken(`data with the sequence ${message.sequence} after ${received}`);
          return;
        }
        received = message.sequence;
        options.onData?.(message.payload);
        break;
      case "bye":
        peer.ended();
        if (wire !== null) endInTime(wire, clock);
        break;
      default:
        peer.heard();
    }
  };

  return {
    socket,
    progressed: progressOf(socket),
    send(given) {
      const payload = bytesOf(given, limits.dataPayload);
      return send({ type: "data", sequence: ++sent, payload });
    },
    beat: ({ number, sendEveryMs: promisedMs, payload }) =>
      send({ type: "beat", number, sendEveryMs: promisedMs, received, payload }),
    close: () => socket.destroy(),
    listen(peer) {
      let told = received;
      wire = new StreamWire(
        socket,
        {
          onMessage: (message) => heard(peer, message),
          onRead: () => {
            if (told === received) return;
            told = received;
            wire?.send({ type: "acknowledgement", received });
          },
          onDrain: () => peer.heard(),
          onProtocolError: ({ message }) => {
            peer.ended();
            broken(message.slice(0, limits.byeText));
          },
        },
        { mayRefuse: !accepted },
      );
      const onClose = (hadError: boolean): void => peer.ended(hadError);
      socket.on("close", onClose);
      if (!accepted) sayHello();
      return () => socket.off("close", onClose);
    },
  };
}
