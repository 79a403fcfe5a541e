export type { QueueBounds, QueuePolicy } from "../heartbeat/session/outbox.js";
export type { KeptSession, SessionJournal, SessionStore } from "../heartbeat/session/journal.js";
export { SessionFile, type SessionFileOptions } from "../heartbeat/session/session-file.js";
export type { Transport } from "../heartbeat/session/wire.js";
export type { EvictionReason, Phase } from "./governor/assess.js";
export { type ClusterFigures, type ClusterGovernor, governCluster } from "./governor/cluster-primary.js";
export type { HeldConnection } from "./governor/connection-facts.js";
export type { GovernorSnapshot } from "./governor/counters.js";
export type { DrainOptions, DrainReport } from "./governor/drain.js";
export type { Refusal } from "./governor/entrance.js";
export {
  type Governor,
  type GovernorEvents,
  type GovernorOptions,
  governServer,
} from "./governor/governor.js";
export { governorMetrics, type GovernorMetricsOptions } from "./governor/metrics.js";
export { drainOnSignals, type DrainOnSignalsOptions } from "./governor/signals.js";
export type { GovernorPolicy, PeerAddress } from "./governor/policy.js";
export type { ProxyHeader } from "./governor/proxy-protocol.js";
export type { RefusalReason } from "./governor/reasons.js";
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
