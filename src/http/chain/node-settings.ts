import { z } from "zod";
import { parseDuration } from "../../plan/duration.js";
import { badConfiguration } from "./config-error.js";
import type { Fault, Hint, Hop, Keeping, Role, Sending } from "./hop.js";

/** Milliseconds, as Node takes them, or a duration such as "65s". */
const time = z.unknown().transform((value, context) => {
  if (typeof value === "number" && value >= 0) return value;
  try {
    if (typeof value === "string") return parseDuration(value, "it");
  } catch {
    // Said below.
  }
  context.addIssue(`${JSON.stringify(value)} is no duration; write milliseconds, or for example "65s"`);
  return z.NEVER;
});

/** As they are given to http.createServer, http.Agent and undici's Agent; other settings say nothing about idle connections. */
const settingsSchema = z.looseObject({
  keepAliveTimeout: time.optional(),
  keepAliveTimeoutBuffer: time.optional(),
  headersTimeout: time.optional(),
  agent: z
    .looseObject({
      keepAlive: z.boolean().optional(),
      timeout: time.optional(),
      freeSocketTimeout: time.optional(),
      agentKeepAliveTimeoutBuffer: time.optional(),
    })
    .optional(),
  undici: z
    .looseObject({
      keepAliveTimeout: time.optional(),
      keepAliveMaxTimeout: time.optional(),
      keepAliveTimeoutThreshold: time.optional(),
      pipelining: z.number().optional(),
    })
    .optional(),
});

type NodeSettings = z.infer<typeof settingsSchema>;

/** lib/_http_server.js; http.globalAgent since Node 19; undici's Client. */
const defaults = {
  keepAliveTimeout: 5_000,
  headersTimeout: 60_000,
  globalAgentTimeout: 5_000,
  undici: { keepAliveTimeout: 4_000, keepAliveMaxTimeout: 600_000, keepAliveTimeoutThreshold: 2_000 },
} as const;

/** Whether a JSON value may be settings of Node's: it has one of theirs. */
export function isNodeSettings(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    ["keepAliveTimeout", "keepAliveTimeoutBuffer", "headersTimeout", "agent", "undici"].some(
      (name) => name in value,
    )
  );
}

/**
 * What a Node program does with idle connections, from the settings of its server, and of its agent or dispatcher.
 *
 * Pure.
 *
 * @throws DeadpeerError `bad-configuration`
 * @example nodeHop({ keepAliveTimeout: 65_000, headersTimeout: 66_000 }, "server", "app.json").keeping?.keepAlive.ms // 65000
 */
export function nodeHop(value: unknown, role: Role, given: string): Hop {
  const { data: settings, error } = settingsSchema.safeParse(value);
  if (settings === undefined) {
    const [issue] = error.issues;
    throw badConfiguration(
      given,
      `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "cannot be read"}`,
      error,
    );
  }
  const name = given.startsWith("{") ? "Node" : `Node (${given})`;
  return {
    role,
    given,
    name,
    sending: role === "server" ? null : sendingOf(settings),
    keeping: role === "client" ? null : keepingOf(settings),
    forgetsMs: null,
    upstreams: [],
    faults: role === "client" ? [] : headersTimeoutFault(settings, name),
  };
}

function keepingOf({ keepAliveTimeout, keepAliveTimeoutBuffer = 0 }: NodeSettings): Keeping {
  const ms = keepAliveTimeout ?? defaults.keepAliveTimeout;
  return {
    noKeepAlive: null,
    keepAlive: {
      ms: ms === 0 ? null : ms + keepAliveTimeoutBuffer,
      name: "server.keepAliveTimeout",
      place: keepAliveTimeout === undefined ? "default" : "",
    },
    // Whole seconds, rounded down (_http_outgoing.js).
    advertisedMs: ms === 0 ? null : Math.floor(ms / 1_000) * 1_000,
    set: (wanted) => `server.keepAliveTimeout = ${wanted}; server.headersTimeout = ${wanted + 1_000};`,
  };
}

function sendingOf({ agent, undici }: NodeSettings): Sending {
  if (undici !== undefined) return undiciSending(undici);
  const keepAlive = agent === undefined || (agent.keepAlive ?? agent.freeSocketTimeout !== undefined);
  const timeout =
    agent === undefined ? defaults.globalAgentTimeout : (agent.freeSocketTimeout ?? agent.timeout ?? 0);
  const hint: Hint = { counts: "if-shorter", marginMs: agent?.agentKeepAliveTimeoutBuffer ?? 0, maxMs: null };
  return {
    noReuse: keepAlive ? null : "opens a connection for each request (agent.keepAlive is not set)",
    idle: {
      ms: timeout === 0 ? null : timeout,
      name: agent?.freeSocketTimeout === undefined ? "agent.timeout" : "agent.freeSocketTimeout",
      place: agent === undefined ? "default of http.globalAgent" : timeout === 0 ? "default" : "",
    },
    // _http_agent.js looks at the hint only where the agent has a timeout of its own that is longer.
    hint: timeout === 0 ? null : hint,
    set: (ms) => `new http.Agent({ keepAlive: true, timeout: ${ms} })`,
  };
}

function undiciSending(undici: NonNullable<NodeSettings["undici"]>): Sending {
  const given = Object.fromEntries(Object.entries(undici).filter(([, value]) => value !== undefined));
  const { keepAliveTimeout, keepAliveMaxTimeout, keepAliveTimeoutThreshold } = {
    ...defaults.undici,
    ...given,
  };
  return {
    noReuse: undici.pipelining === 0 ? "opens a connection for each request (pipelining: 0)" : null,
    idle: {
      ms: Math.min(keepAliveTimeout, keepAliveMaxTimeout),
      name: "keepAliveTimeout of undici",
      place: undici.keepAliveTimeout === undefined ? "default" : "",
    },
    hint: { counts: "instead", marginMs: keepAliveTimeoutThreshold, maxMs: keepAliveMaxTimeout },
    set: (ms) => `new Agent({ keepAliveTimeout: ${ms}, keepAliveMaxTimeout: ${ms} })`,
  };
}

function headersTimeoutFault({ keepAliveTimeout, headersTimeout }: NodeSettings, name: string): Fault[] {
  const keptMs = keepAliveTimeout ?? defaults.keepAliveTimeout;
  const headersMs = headersTimeout ?? defaults.headersTimeout;
  if (headersMs === 0 || keptMs === 0 || headersMs > keptMs) return [];
  return [
    {
      code: "headers-timeout-below-keepalive",
      message: `${name} waits for ${headersMs} ms for a request's headers, and keeps connections for ${keptMs} ms: versions of Node that count the idle time in (before 18) cut kept connections off at the former.`,
      set: [{ hop: name, line: `server.headersTimeout = ${keptMs + 1_000};` }],
    },
  ];
}
