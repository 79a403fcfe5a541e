import type { HeartbeatServerOptions } from "../../src/server/index.js";

/** The clients' beats are what is measured, so the server asks for none, and none is too many. */
export const measuredOptions: HeartbeatServerOptions = {
  detect: { idle: "30m", interval: "1m", count: 3 },
  maxSilence: "4h",
  maxSessions: 100_000,
  maxGreetings: 100_000,
  beatsPerSecond: 1_000,
};
