import type { Http2Session } from "node:http2";
import { innerSocket } from "../../guard/inner-socket.js";
import { systemClock } from "../../kernel/clock.js";
import type { TimerClock } from "../../time/clock.js";
import type { HeartbeatAdapter, Peer } from "../adapter.js";
import { KernelQuestion } from "../kernel-question.js";
import { progressOf } from "../progress.js";
import type { PingPace } from "./ping-pace.js";

export interface Http2Options {
  /**
   * For servers that punish too many pings, as gRPC's do: between two pings that it allows the peer's kernel is asked instead. One
   * for all connections to a server, one after the other.
   */
  readonly pace?: PingPace;
  /** Default: the system's clocks. */
  readonly clock?: TimerClock;
}

/** RFC 9113, section 7. */
const enhanceYourCalm = 0xb;

/**
 * Heartbeats by HTTP/2's PING (RFC 9113, section 6.7), over a connected session, a client's or a server's. Node answers the peer's
 * pings by itself.
 *
 * @throws DeadpeerError `no-socket` if it is not connected yet, or no more.
 * @example session.on("connect", () => heartbeat(overHttp2(session), "normal"));
 */
export function overHttp2(
  session: Http2Session,
  { pace, clock = systemClock }: Http2Options = {},
): HeartbeatAdapter {
  // Never listened to for data: the session reads below it.
  const socket = innerSocket(session);
  const progressed = progressOf(socket);
  const question = new KernelQuestion(socket);
  let peer: Peer | null = null;
  /** Read when the oldest ping went out that is still unanswered; null: there is none. */
  let readBefore: number | null = null;
  let pingedMs = Number.NEGATIVE_INFINITY;

  const ping = (number: number): void => {
    pingedMs = clock.monotonic();
    readBefore ??= socket.bytesRead;
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32BE(number, 4);
    session.ping(bytes, (error) => {
      if (error !== null) return;
      readBefore = null;
      peer?.answered(number);
    });
  };

  return {
    socket,
    beat({ number }) {
      if (pace !== undefined && clock.monotonic() < pingedMs + pace.everyMs) question.ask();
      else ping(number);
    },
    progressed() {
      const took = progressed();
      const acknowledged = question.answered();
      // Without a ping on its way the kernel's word is all there is; with one, the program has to read or write to be alive.
      if (readBefore === null) return acknowledged || took;
      const read = socket.bytesRead > readBefore;
      if (read) readBefore = socket.bytesRead;
      return read || took;
    },
    close() {
      session.destroy();
      // A session that was closing in order already would wait for the peer.
      socket.destroy();
    },
    listen(told) {
      peer = told;
      const onHeard = (): void => told.heard();
      const onGoaway = (code: number, _last: number, data?: Uint8Array): void => {
        if (code === enhanceYourCalm && Buffer.from(data ?? []).toString() === "too_many_pings")
          pace?.slower();
        told.heard();
      };
      const onClose = (hadError: boolean): void => told.ended(hadError);
      session.on("ping", onHeard);
      session.on("stream", onHeard);
      session.on("goaway", onGoaway);
      socket.on("close", onClose);
      return () => {
        peer = null;
        session.off("ping", onHeard);
        session.off("stream", onHeard);
        session.off("goaway", onGoaway);
        socket.off("close", onClose);
        question.withdraw();
      };
    },
  };
}
