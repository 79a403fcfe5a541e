import type { FlowSummary } from "../../capture/index.js";
import { parsePort } from "../../host/port.js";
import { wholeNumber } from "../whole-number.js";

/** Which connections are asked for. */
export interface Wish {
  readonly all: boolean;
  /** Null: any. */
  readonly firstFrame: number | null;
  readonly port: number | null;
}

/** @throws DeadpeerError `bad-option`, `bad-address`. */
export function parseWish(options: { all?: boolean; flow?: string; port?: string }): Wish {
  return {
    all: options.all ?? false,
    firstFrame: options.flow === undefined ? null : wholeNumber(options.flow, "--flow"),
    port: options.port === undefined ? null : parsePort(options.port, "--port"),
  };
}

export function isWished({ firstFrame, port }: Wish, flow: FlowSummary): boolean {
  if (firstFrame !== null && flow.firstFrame !== firstFrame) return false;
  return port === null || flow.a.port === port || flow.b.port === port;
}
