export type {
  Connection,
  ConnectionDetection,
  ConnectionKeepalive,
  SettingsSource,
} from "./connection.js";
export { withinHost } from "./connection.js";
export type { EndpointFilter } from "./address.js";
export { type ConnectionFilter, type FilterOptions, parseFilter } from "./filter.js";
export type { EarlierSample, Finding, FindingCode, PathBox } from "./findings.js";
export { type ConnectionGroup, type Direction, groupConnections } from "./group.js";
export {
  candidates as killCandidates,
  type Candidate as KillCandidate,
  type Candidates as KillCandidates,
  type EndedConnection,
  killConnections,
  type KillOptions,
} from "./kill/kill.js";
export type { Unanswered } from "./kill/unanswered.js";
export { type Summary, summarise, worstFirst } from "./rank.js";
export type { HeldSettings } from "./repair/held.js";
export { type Repair, repair, type RepairOptions } from "./repair/repair.js";
export type { RepairedConnection } from "./repair/round.js";
export { repairRuns, type Undo, type UndoneSocket, type UndoOptions, undoRepair } from "./repair/undo.js";
export { type RepairWatchOptions, watchRepair } from "./repair/watch.js";
export { type HostSurvey, HostWalk, type Sight, type SurveyOptions, survey, surveyHost } from "./survey.js";
export { type HostWatch, type WatchOptions, type WatchSight, watchHost } from "./watch/host-watch.js";
export type { ConnectionProcess, Obituary } from "./watch/obituary.js";
