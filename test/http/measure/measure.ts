import {
  HttpMeasurement,
  type HttpMeasured,
  type HttpMeasurementOptions,
} from "../../../src/http/measure/measurement.js";
import { readTarget } from "../../../src/http/measure/target.js";

/** Measures with what suits a test: a few connections, and not for long. */
export function measure(
  url: string,
  options: Partial<Omit<HttpMeasurementOptions, "target">> = {},
): Promise<HttpMeasured> {
  return new HttpMeasurement({
    target: readTarget(url),
    method: "GET",
    headers: [],
    family: null,
    ca: null,
    insecure: false,
    http2: true,
    follow: false,
    maxMs: 20_000,
    connections: 20,
    requests: 0,
    samples: 3,
    precisionMs: null,
    patienceMs: 20_000,
    signal: new AbortController().signal,
    ...options,
  }).run();
}
