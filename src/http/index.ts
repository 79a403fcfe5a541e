export {
  createAgent,
  createHttpsAgent,
  type KeepAliveAgent,
  type KeepAliveAgentOptions,
  type KeepAliveHttpsAgent,
  type KeepAliveHttpsAgentOptions,
} from "./client/agents.js";
export { createDispatcher, type DispatcherOptions, type KeepAliveDispatcher } from "./client/dispatcher.js";
export type { ReuseFigures } from "./client/figures.js";
export type { KeepAliveOptions } from "./client/options.js";
export { bodyFrom } from "./client/repeatable-body.js";
export type { HttpServerSettings, TuneWarning, TuneWarningCode } from "./server/advice.js";
export { type TunableServer, type TunedServer, type TuneOptions, tuneHttpServer } from "./server/tune.js";
