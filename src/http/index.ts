export { createDispatcher, type DispatcherOptions, type KeepAliveDispatcher } from "./client/dispatcher.js";
export type { ReuseFigures } from "./client/figures.js";
export type { KeepAliveOptions } from "./client/options.js";
