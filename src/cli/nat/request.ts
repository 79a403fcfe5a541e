import { DeadpeerError } from "../../errors.js";
import type { MeasurementOptions } from "../../client/nat/measurement.js";
import { parseHostPort } from "../../client/nat/target.js";
import { durationFrom } from "../duration-option.js";
import { wholeNumber } from "../whole-number.js";

/** What commander makes of the command line. */
export interface NatCommandOptions {
  readonly max: string;
  readonly precision?: string;
  readonly connections: string;
  readonly detect: string;
  readonly ipv4?: true;
  readonly ipv6?: true;
  readonly json?: true;
}

/** Less than two probes apart nothing can be told (TCP_KEEPIDLE). */
const leastMaxMs = 2_000;
/** Our clocks and the box's are no better. */
const leastPrecisionMs = 100;
/** What an echo server gives to one measurement, for both directions. */
const mostConnections = 128;

/** @throws DeadpeerError `bad-address`, `bad-duration`, `bad-option`. */
export function readRequest(
  target: string,
  { max, precision, connections, ipv4, ipv6 }: NatCommandOptions,
): Omit<MeasurementOptions, "signal"> {
  if (ipv4 === true && ipv6 === true)
    throw new DeadpeerError("bad-option", "--ipv4 and --ipv6 exclude one another; give one of them");
  const lanes = wholeNumber(connections, "--connections");
  if (lanes < 2 || lanes > mostConnections)
    throw new DeadpeerError(
      "bad-option",
      `--connections ${connections}: 2 to ${mostConnections} are allowed`,
    );
  return {
    target: parseHostPort(target),
    family: ipv4 === true ? 4 : ipv6 === true ? 6 : null,
    maxMs: durationFrom(max, leastMaxMs, "--max"),
    connections: lanes,
    precisionMs: precision === undefined ? null : durationFrom(precision, leastPrecisionMs, "--precision"),
  };
}
