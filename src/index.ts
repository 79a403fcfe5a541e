export { DeadpeerError, errorCodes, type ErrorCode } from "./errors.js";
export * from "./plan/settings.js";
export {
  type DescribeOptions,
  describeSettings,
  type Plan,
  planDetection,
  type PlanOptions,
  type Warning,
  type WarningCode,
} from "./plan/planner.js";
export { guard, type Guard, type GuardEvents, type GuardOptions } from "./guard/guard.js";
export { guardListener, type ListenerGuard, type ListenerGuardEvents } from "./guard/listener.js";
export type { Applied } from "./guard/apply.js";
export type { Wanted } from "./guard/settings.js";
export type { GuardSnapshot } from "./guard/snapshot.js";
export type { Evidence, HeartbeatEvidence, TcpFigures, Timer } from "./verdict/evidence.js";
export type { Clock } from "./time/clock.js";
export { judge, type Verdict, type VerdictState } from "./verdict/verdict.js";
