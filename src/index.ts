export { DeadpeerError, errorCodes, type ErrorCode } from "./errors.js";
export * from "./plan/settings.js";
