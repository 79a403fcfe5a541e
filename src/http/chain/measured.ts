import { z } from "zod";
import { badConfiguration } from "./config-error.js";
import { type Hop, type Keeping, type Role, wholeSeconds } from "./hop.js";

/** As much of `http --json` as counts here. */
const measuredSchema = z.looseObject({
  url: z.string(),
  persistent: z.boolean(),
  advertised: z.looseObject({ timeoutMs: z.number().nullable() }).nullable(),
  measured: z.looseObject({
    idleTimeoutMs: z.tuple([z.number(), z.number()]).nullable(),
    heldMs: z.number().nullable().optional(),
  }),
});

/** Whether a JSON value may be a measurement. */
export function isMeasured(value: unknown): boolean {
  return typeof value === "object" && value !== null && "persistent" in value && "measured" in value;
}

/**
 * A server or proxy as `deadpeer http --json` saw it. How it treats its own next hop cannot be measured from outside.
 *
 * Pure.
 *
 * @throws DeadpeerError `bad-configuration`; `measured` where nothing was measured.
 */
export function measuredHop(value: unknown, role: Role, given: string): Hop {
  const { data, error } = measuredSchema.safeParse(value);
  if (data === undefined)
    throw badConfiguration(
      given,
      `is no measurement of http --json: ${error.issues[0]?.path.join(".") ?? ""}`,
      error,
    );
  const { url, persistent, advertised, measured } = data;
  const name = `${url} (${given})`;
  const keptMs = measured.idleTimeoutMs?.[0] ?? measured.heldMs ?? null;
  const advertisedMs = advertised?.timeoutMs ?? null;
  const keeping: Keeping = {
    noKeepAlive: persistent ? null : "does not keep connections",
    keepAlive: {
      ms: keptMs,
      name: measured.idleTimeoutMs === null ? "measured, at least" : "measured",
      place: "",
    },
    advertisedMs,
    set: (ms) => `keep idle connections for ${wholeSeconds(ms)}`,
  };
  const tooMuch =
    measured.idleTimeoutMs !== null &&
    advertisedMs !== null &&
    advertisedMs > measured.idleTimeoutMs[0] + 100;
  return {
    role,
    given,
    name,
    sending: null,
    keeping: persistent && keptMs === null ? null : keeping,
    forgetsMs: null,
    upstreams: [],
    faults: tooMuch
      ? [
          {
            code: "advertises-more-than-it-keeps",
            message: `${url} says that it keeps an idle connection for ${wholeSeconds(advertisedMs)}, and was seen to end it after ${measured.idleTimeoutMs?.[0] ?? 0} ms.`,
            set: [],
          },
        ]
      : [],
  };
}
