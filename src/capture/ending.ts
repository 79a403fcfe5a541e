import type { Verdict } from "../verdict/verdict.js";
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
  readonly proof: EndingProof;
}
export function findEnding(_flow: Flow, _span: CaptureSpan): CaptureVerdict | null {
  return null;
}
