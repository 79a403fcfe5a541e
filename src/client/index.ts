export type { QueueBounds, QueuePolicy } from "../heartbeat/session/outbox.js";
export type { KeptSession, SessionJournal, SessionStore } from "../heartbeat/session/journal.js";
export { SessionFile, type SessionFileOptions } from "../heartbeat/session/session-file.js";
export type { Transport } from "../heartbeat/session/wire.js";
export { LongConnection, type LongConnectionEvents, type Online, type Retry } from "./long-connection.js";
export type { LongConnectionOptions } from "./options.js";
export type { ConnectionState } from "./states.js";
export type { Target } from "./target.js";
