export type { QueueBounds, QueuePolicy } from "../heartbeat/session/outbox.js";
export type { KeptSession, SessionJournal, SessionStore } from "../heartbeat/session/journal.js";
export { SessionFile, type SessionFileOptions } from "../heartbeat/session/session-file.js";
export type { Transport } from "../heartbeat/session/wire.js";
export {
  HeartbeatServer,
  type HeartbeatServerEvents,
  type ListenOptions,
  type ListenUdpOptions,
  type ServerSnapshot,
} from "./heartbeat-server.js";
export type { HeartbeatServerOptions } from "./options.js";
export type { ParkingOptions } from "./parking/options.js";
export type { Session, SessionEnd, SessionState } from "./session.js";
