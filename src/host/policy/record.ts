import { z } from "zod";
import { errnoName } from "../../kernel/errno.js";
import type { PolicyRequest } from "./request.js";

/** How often a policy did what; connections are counted once, when they are established. */
export interface PolicyCounters {
  /** Connections that got the settings. */
  readonly touched: number;
  /** Connections that fitted, but whose program had chosen everything itself (`onlyUnset`). */
  readonly leftAlone: number;
  /** Connections on which the kernel refused a setting, or did not say what the program had chosen. */
  readonly failed: number;
  /** Times that a program tried to set something else later, and the policy's value was kept. */
  readonly held: number;
}

/** The process that made a policy. */
export interface PolicyOwner {
  /** `add` for a policy that stays; `run` for one that goes with the program it was made for. */
  readonly command: "add" | "run";
  readonly pid: number;
  /** Together with the number they name one process for good, as in kernel/owned-names.ts. */
  readonly startTicks: number;
  readonly pidNamespace: number;
  readonly uid: number;
}

/** What a policy's map says of it: written before its programs run, so that whoever finds them finds it. */
export interface PolicyRecord extends Required<PolicyRequest> {
  /** When it was made, as an ISO time. */
  readonly at: string;
  readonly owner: PolicyOwner;
}

/**
 * The value of a policy's map: what the programs count, then the record as JSON, of which they know nothing. A change to this
 * layout or to the record's meaning takes another name (policyNames), so that an older deadpeer passes it over.
 */
export const layout = {
  touched: 0,
  leftAlone: 8,
  failed: 16,
  held: 24,
  /** The last errno of a failure. */
  errno: 32,
  length: 40,
  record: 44,
} as const;

/** What a policy's map and programs are called in the kernel (`bpftool prog list` shows them). */
export const policyNames = {
  map: "dp_policy1",
  established: "dp_policy1_est",
  later: "dp_policy1_set",
} as const;

const keepalive = z.object({
  idleMs: z.number().optional(),
  intervalMs: z.number().optional(),
  count: z.number().optional(),
});
const recordSchema = z.object({
  settings: z.object({ keepalive: keepalive.nullable().optional(), userTimeoutMs: z.number().optional() }),
  onlyUnset: z.boolean(),
  ports: z.array(z.number()),
  remotes: z.array(z.object({ network: z.string().nullable(), port: z.number().nullable() })),
  at: z.string(),
  owner: z.object({
    command: z.enum(["add", "run"]),
    pid: z.number(),
    startTicks: z.number(),
    pidNamespace: z.number(),
    uid: z.number(),
  }),
});

/** The map's value at the beginning: nothing counted yet. */
export function encodeRecord(record: PolicyRecord): Buffer {
  const text = Buffer.from(JSON.stringify(record));
  const value = Buffer.alloc(layout.record + text.length);
  value.writeUInt32LE(text.length, layout.length);
  text.copy(value, layout.record);
  return value;
}

/** The record and the counters of a map's value; null if they are not a policy's. */
export function decodeValue(
  value: Buffer,
): { record: PolicyRecord; counters: PolicyCounters; lastError: string | null } | null {
  if (value.length < layout.record) return null;
  const end = layout.record + value.readUInt32LE(layout.length);
  if (end > value.length) return null;
  let json: unknown;
  try {
    json = JSON.parse(value.toString("utf8", layout.record, end));
  } catch {
    return null;
  }
  const { success, data } = recordSchema.safeParse(json);
  if (!success) return null;
  const counter = (offset: number): number => Number(value.readBigUInt64LE(offset));
  const errno = counter(layout.errno);
  return {
    record: data as PolicyRecord,
    counters: {
      touched: counter(layout.touched),
      leftAlone: counter(layout.leftAlone),
      failed: counter(layout.failed),
      held: counter(layout.held),
    },
    lastError: errno === 0 ? null : errnoName(errno),
  };
}
