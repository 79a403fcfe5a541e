import type { BeatSettings } from "../heartbeat/engine/engine.js";
import type { Bye } from "../heartbeat/protocol/message.js";
import type { SessionJournal } from "../heartbeat/session/journal.js";
import type { StreamWire } from "../heartbeat/session/stream-wire.js";
import type { Wire } from "../heartbeat/session/wire.js";
import type { Verdict } from "../verdict/verdict.js";
import type { Agenda } from "./agenda.js";
import type { ServerSettings } from "./options.js";
import type { Place } from "./parking/lot.js";
import type { ActiveSession } from "./active-session.js";
import type { Roster } from "./roster.js";
import type { HostedSession, SessionEnd } from "./session.js";

export interface Standstill {
  readonly lateMs: number;
  readonly wokeMs: number;
}

/** What a session needs of its server. */
export interface SessionHost {
  readonly settings: ServerSettings;
  readonly agenda: Agenda;
  readonly roster: Roster;
  /** Whether sessions are kept over the end of the process. */
  readonly journalled: boolean;
  journal(id: string): SessionJournal | null;
  /** The settings for a client that sends something so often; the same object for all such. */
  beatsFor(sendEveryMs: number): BeatSettings;
  /** When this side last came back from a standstill, and how long that was. */
  standstill(): Standstill | null;
  /** Ends a wire in order, after `last` was sent, and for good after a while. */
  linger(wire: Wire, last?: () => void): void;
  /** Takes a connection back from the lot. */
  unpark(fd: number, session: ActiveSession): StreamWire;
  /** Ends a parked connection in order, after this. */
  farewell(place: Place, last: Bye): void;
  /** The application has nothing to say with answers. */
  plainAnswers(): boolean;
  /** What an answer or a beat to this session carries. */
  answer(session: HostedSession): Uint8Array;
  payload(session: HostedSession, payload: Uint8Array): void;
  data(session: HostedSession, payload: Uint8Array, sequence: number): void;
  dropped(session: HostedSession, payload: Uint8Array): void;
  suspect(session: HostedSession): void;
  resumed(session: HostedSession): void;
  offline(session: HostedSession, verdict: Verdict): void;
  ended(session: HostedSession, why: SessionEnd, text: string): void;
}
