import { DeadpeerError } from "../../errors.js";
import { parseDuration } from "../../plan/duration.js";
import type { Hop, Role, Span } from "./hop.js";

const names = ["idle", "keepalive", "advertised"] as const;

/** Whether it is figures that a person wrote, rather than the name of something. */
export function isFigures(text: string): boolean {
  return /^\s*[a-z]+=/i.test(text) && !text.includes("/");
}

/**
 * Reads `idle=60s,keepalive=75s,advertised=70s`.
 *
 * @throws DeadpeerError `bad-option`, `bad-duration`.
 * @example readFigures("idle=60s", "client").sending?.idle.ms // 60000
 */
export function readFigures(text: string, role: Role): Hop {
  const given = new Map<string, string>();
  for (const part of text.split(",")) {
    const [, name = "", value = ""] = /^\s*([a-z]+)=(.*)$/i.exec(part) ?? [];
    if (!names.some((known) => known === name) || given.has(name))
      throw new DeadpeerError(
        "bad-option",
        `--${role} ${text}: "${part.trim()}" is not understood; write idle=60s, keepalive=75s or advertised=70s, each once, with commas between`,
      );
    given.set(name, value);
  }
  const span = (name: string): Span | null => {
    const value = given.get(name);
    if (value === undefined) return null;
    const ms = value.trim() === "never" ? null : parseDuration(value, `--${role} ${name}`);
    return { ms, name: `${name}=${value}`, place: "" };
  };
  const [idle, keepAlive, advertised] = [span("idle"), span("keepalive"), span("advertised")];
  return {
    role,
    given: text,
    name: `the ${role}`,
    sending:
      idle === null
        ? null
        : {
            noReuse: idle.ms === 0 ? "uses no connection again (idle=0)" : null,
            idle,
            hint: null,
            set: (ms) => `end idle connections after ${ms} ms`,
          },
    keeping:
      keepAlive === null
        ? null
        : {
            noKeepAlive: keepAlive.ms === 0 ? "keeps no connection (keepalive=0)" : null,
            keepAlive,
            advertisedMs: advertised?.ms ?? null,
            set: (ms) => `keep idle connections for ${ms} ms`,
          },
    forgetsMs: null,
    upstreams: [],
    faults: [],
  };
}
