import type { Verdict } from "../verdict/verdict.js";
import type { Side } from "./events.js";
import type { Flow } from "./flow.js";

export interface CaptureSpan {
  /** The first frame, milliseconds since 1970. */
  readonly firstMs: number;
  readonly lastNs: number;
}
export interface EndingProof {
  readonly frames: readonly number[];
}
export interface CaptureVerdict extends Verdict {
  /** The side that noticed: the other one is what the verdict is about. Text and diagrams of `explain` rely on it. */
  readonly by: Side;
  readonly proof: EndingProof;
}
export function findEnding(_flow: Flow, _span: CaptureSpan): CaptureVerdict | null {
  return null;
}
