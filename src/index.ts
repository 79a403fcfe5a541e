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
