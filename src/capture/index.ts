export { type CaptureVerdict, type EndingProof } from "./ending.js";
export { type EventKind, eventKinds, type FlowEvent, type Side } from "./events.js";
export { type Explanation, type ExplainOptions, explainCapture, type Skipped } from "./explain.js";
export type { PacketSink } from "./format.js";
export type { Inferred, InferredKeepalive, KeepaliveTraffic, Seen } from "./inferred.js";
export { type CaptureSource, pour } from "./input.js";
export { CaptureReader, type Problem } from "./reader.js";
export type { FlowEndpoint, FlowReport } from "./report.js";
