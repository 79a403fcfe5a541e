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
export { type AddedPolicy, type AddOptions as PolicyAddOptions, addPolicy } from "./policy/add.js";
export { applyToExisting } from "./policy/existing.js";
export { listPolicies, type Policy, policyOf } from "./policy/find.js";
export type { PolicyCounters, PolicyOwner } from "./policy/record.js";
export { removePolicy } from "./policy/remove.js";
export type { PolicyRequest } from "./policy/request.js";
export { findCgroup, type PolicyTarget } from "./policy/target.js";
export { type Summary, summarise, worstFirst } from "./rank.js";
export type { HeldSettings } from "./repair/held.js";
export { type Repair, repair, type RepairOptions } from "./repair/repair.js";
export type { RepairedConnection } from "./repair/round.js";
export { repairRuns, type Undo, type UndoneSocket, type UndoOptions, undoRepair } from "./repair/undo.js";
export { type RepairWatchOptions, watchRepair } from "./repair/watch.js";
export { type HostSurvey, HostWalk, type Sight, type SurveyOptions, survey, surveyHost } from "./survey.js";
export { type HostWatch, type WatchOptions, type WatchSight, watchHost } from "./watch/host-watch.js";
export type { ConnectionProcess, Obituary } from "./watch/obituary.js";
