import { visible } from "../plan/visible.js";

/** What a server says about how long and how often a connection may be used again. */
export interface KeepAliveHint {
  /** How long it may lie idle; 0: not at all; null: not said, or not so that it can be read. */
  readonly timeoutMs: number | null;
  /** How many more requests it takes; null: not said, or not so that it can be read. */
  readonly max: number | null;
  /** What was in the header and could not be taken at its word, each as a few words for people; empty as a rule. */
  readonly problems: readonly string[];
}

/** As long as a Node timer can wait (2³¹ − 1 ms, 24.8 days). A server that says more makes no promise. */
const longestMs = 2_147_483_647;
const mostRequests = 2_147_483_647;
/** A header of servers is 20 bytes long; what lies beyond this is not read. */
const longestHeader = 1_024;
/** Quoted in a problem. */
const longestQuote = 40;

/**
 * Reads the Keep-Alive header of an answer (RFC 2068, section 19.7.1.1; "Keep-Alive: timeout=5, max=100"). Never throws: what cannot be
 * read says nothing, and is named. Numbers may be quoted, names are read without regard to case, unknown parameters are left alone, and of
 * a parameter that is repeated the smallest counts, for that is the one which is safe.
 *
 * @param header the value, or the values where the header is repeated; null or undefined: there is none.
 * @returns null where there is no header.
 * @example
 * parseKeepAlive("timeout=5, max=100"); // { timeoutMs: 5000, max: 100, problems: [] }
 */
export function parseKeepAlive(header: string | readonly string[] | null | undefined): KeepAliveHint | null {
  if (header === null || header === undefined) return null;
  const text = typeof header === "string" ? header : header.join(",");
  const problems: string[] = [];
  let timeoutMs: number | null = null;
  let max: number | null = null;
  const readable = text.slice(0, longestHeader);
  if (text.length > longestHeader) problems.push(`${text.length} characters long`);
  for (const parameter of readable.split(/[,;]/)) {
    const [, name = "", value = ""] = /^\s*([^=\s]*)\s*=?(.*)$/s.exec(parameter) ?? [];
    switch (name.toLowerCase()) {
      case "timeout":
        timeoutMs = smaller(timeoutMs, number(parameter, value, 1_000, longestMs, problems));
        break;
      case "max":
        max = smaller(max, number(parameter, value, 1, mostRequests, problems));
        break;
      default:
    }
  }
  return { timeoutMs, max, problems };
}

function smaller(known: number | null, found: number | null): number | null {
  if (known === null || found === null) return known ?? found;
  return Math.min(known, found);
}

function number(
  parameter: string,
  value: string,
  unit: number,
  most: number,
  problems: string[],
): number | null {
  const [, quoted, plain] = /^\s*(?:"(\d+)"|(\d+))\s*$/.exec(value) ?? [];
  const result = Number(quoted ?? plain ?? Number.NaN) * unit;
  if (result <= most) return result;
  problems.push(
    `"${visible(parameter.trim().slice(0, longestQuote))}" ${result > most ? "is absurd" : "is no number"}`,
  );
  return null;
}
