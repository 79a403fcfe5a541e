export { Host } from "./host.js";
export { type Family, type HostPlan, Network } from "./network.js";
export type { Expected, ScenarioResult } from "./run/result.js";
export { type RunOptions, runScenario } from "./run/runner.js";
export type { LabEvent, SocketView, WireEvent } from "./run/timeline.js";
export { builtinScenarios, findScenario, readScenario, scenarioNames } from "./scenario/load.js";
export type { Scenario } from "./scenario/schema.js";
export { sweep } from "./sweep.js";
export { requireLabTools } from "./tools.js";
