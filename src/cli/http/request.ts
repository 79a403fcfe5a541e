import { readFileSync } from "node:fs";
import { DeadpeerError } from "../../errors.js";
import type { HttpMeasurementOptions } from "../../http/measure/measurement.js";
import { readTarget } from "../../http/measure/target.js";
import { durationFrom } from "../duration-option.js";
import { wholeNumber } from "../whole-number.js";

/** What commander makes of the command line. */
export interface HttpCommandOptions {
  readonly max: string;
  readonly connections: string;
  readonly requests: string;
  readonly samples: string;
  readonly precision?: string;
  readonly timeout: string;
  readonly head?: true;
  readonly header?: readonly string[];
  readonly follow?: true;
  readonly http1?: true;
  readonly insecure?: true;
  readonly ca?: string;
  readonly ipv4?: true;
  readonly ipv6?: true;
  readonly check?: true | string;
  readonly json?: true;
}

/** A measurement is no attack. */
const mostConnections = 256;
const mostRequests = 100_000;
const mostSamples = 100;

/** @throws DeadpeerError `bad-address`, `bad-duration`, `bad-option`. */
export function readRequest(
  url: string,
  options: HttpCommandOptions,
): Omit<HttpMeasurementOptions, "signal"> {
  const { precision, ca, ipv4, ipv6, header = [] } = options;
  if (ipv4 === true && ipv6 === true)
    throw new DeadpeerError("bad-option", "--ipv4 and --ipv6 exclude one another; give one of them");
  if (options.insecure === true && ca !== undefined)
    throw new DeadpeerError(
      "bad-option",
      "--insecure takes any certificate, so that --ca says nothing; give one of them",
    );
  return {
    target: readTarget(url),
    method: options.head === true ? "HEAD" : "GET",
    headers: header.map(readHeader),
    family: ipv4 === true ? 4 : ipv6 === true ? 6 : null,
    ca: ca === undefined ? null : readCertificates(ca),
    insecure: options.insecure === true,
    http2: options.http1 !== true,
    follow: options.follow === true,
    maxMs: durationFrom(options.max, 1_000, "--max"),
    connections: within(options.connections, 2, mostConnections, "--connections"),
    requests: within(options.requests, 0, mostRequests, "--requests"),
    samples: within(options.samples, 0, mostSamples, "--samples"),
    precisionMs: precision === undefined ? null : durationFrom(precision, 10, "--precision"),
    patienceMs: durationFrom(options.timeout, 100, "--timeout"),
  };
}

function within(text: string, least: number, most: number, what: string): number {
  const number = wholeNumber(text, what);
  if (number < least || number > most)
    throw new DeadpeerError("bad-option", `${what} ${text}: ${least} to ${most} are allowed`);
  return number;
}

function readHeader(line: string): readonly [string, string] {
  const [, name, value = ""] = /^([!#$%&'*+\-.^_`|~\w]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/.exec(line) ?? [];
  if (name === undefined)
    throw new DeadpeerError(
      "bad-option",
      `--header ${JSON.stringify(line)} is no header; write 'Name: value'`,
    );
  if (name.toLowerCase() === "connection")
    throw new DeadpeerError(
      "bad-option",
      "--header Connection: that header is what is measured, and deadpeer's to set",
    );
  if (/^(content-length|transfer-encoding)$/i.test(name))
    throw new DeadpeerError(
      "bad-option",
      `--header ${name}: no body is sent, and the server would wait for one`,
    );
  return [name, value];
}

function readCertificates(path: string): string {
  try {
    const text = readFileSync(path, "utf8");
    if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  } catch (error) {
    throw new DeadpeerError("bad-option", `--ca ${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  throw new DeadpeerError("bad-option", `--ca ${path} has no certificate in it; give a PEM file`);
}
