import {
  type Fault,
  type Hop,
  type Keeping,
  type Role,
  type Sending,
  type Span,
  wholeSeconds,
} from "../hop.js";
import { closingOption, haproxyTime, isDisabled, lastLine, type Section } from "./sections.js";

const defaultPurgeMs = 5_000;
/** Idle side by side, where pool-max-conn does not bound them. */
const assumedPool = 100;

/**
 * What a haproxy does with idle connections, on both sides. Of several frontends the shortest time counts, of several backends the
 * longest.
 *
 * Pure.
 *
 * @param only the backend that is meant; null: all.
 * @throws DeadpeerError `bad-configuration`
 */
export function haproxyHop(
  sections: readonly Section[],
  role: Role,
  given: string,
  only: string | null,
): Hop {
  const proxies = sections.filter(
    (one) => (one.kind === "frontend" || one.kind === "backend" || one.kind === "listen") && !isDisabled(one),
  );
  const fronts = proxies.filter((one) => one.kind !== "backend");
  const all = proxies.filter((one) => one.kind !== "frontend" && servers(one));
  const backs = all.filter((one) => only === null || one.name === only);
  const name = `haproxy (${given})`;
  const relays = [...fronts, ...backs].length > 0 && [...fronts, ...backs].every((one) => !isHttp(one));
  return {
    role,
    given,
    name,
    sending: role === "server" || relays ? null : sendingOf(backs.filter(isHttp), fronts.filter(isHttp)),
    keeping: role === "client" || relays ? null : keepingOf(fronts.filter(isHttp)),
    // In mode tcp it only passes bytes on, for as long as its timeouts let it.
    forgetsMs: relays ? relayMs(fronts, backs) : null,
    upstreams: all.map((one) => one.name),
    unknown: {
      sending: "has no backend with servers in mode http",
      keeping: "has no frontend in mode http",
    },
    faults: role === "server" ? [] : [...notInEffect(backs.filter(isHttp), fronts.filter(isHttp), name)],
  };
}

function servers({ lines, defaults }: Section): boolean {
  return (
    lines.some(({ words: [first] }) => first === "server" || first === "server-template") ||
    (defaults !== null && servers(defaults))
  );
}

function isHttp(section: Section): boolean {
  return lastLine(section, "mode")?.words[1] === "http";
}

/** @returns null where nothing sets it, or 0 does: it never ends then. */
function timeout(section: Section, name: string): Span | null {
  const line = lastLine(section, "timeout", name);
  const [, , text] = line?.words ?? [];
  if (line === null || text === undefined) return null;
  const ms = haproxyTime(text, line.place);
  return ms === 0 ? null : { ms, name: `timeout ${name}`, place: line.place };
}

/** Between two requests of a client: what is set for that, and the client's own timeout below it (seen with 2.6: the shorter counts). */
function clientIdle(section: Section): Span {
  const client = timeout(section, "client");
  const between = timeout(section, "http-keep-alive") ?? timeout(section, "http-request");
  return shorter(between, client) ?? { ms: null, name: "timeout http-keep-alive", place: "default" };
}

function shorter(one: Span | null, other: Span | null): Span | null {
  return one === null || other === null ? (one ?? other) : (other.ms ?? 0) < (one.ms ?? 0) ? other : one;
}

/** What makes it wait for so long. */
function clientIdleLine(section: Section, ms: number): string {
  const line = `timeout http-keep-alive ${wholeSeconds(ms)}`;
  const client = timeout(section, "client");
  return client === null || (client.ms ?? 0) >= ms ? line : `${line} and timeout client ${wholeSeconds(ms)}`;
}

function keepingOf(fronts: readonly Section[]): Keeping | null {
  if (fronts.length === 0) return null;
  const kept = fronts
    .filter((one) => closingOption(one) !== "httpclose")
    .map((front) => ({ front, idle: clientIdle(front) }));
  const shortest = kept.toSorted((a, b) => (a.idle.ms ?? Infinity) - (b.idle.ms ?? Infinity))[0];
  return {
    noKeepAlive: shortest === undefined ? "closes after each answer (option httpclose)" : null,
    keepAlive: shortest?.idle ?? { ms: 0, name: "option httpclose", place: "" },
    advertisedMs: null,
    set: (ms) =>
      shortest === undefined
        ? `timeout http-keep-alive ${wholeSeconds(ms)}`
        : clientIdleLine(shortest.front, ms),
  };
}

function sendingOf(backs: readonly Section[], fronts: readonly Section[]): Sending | null {
  if (backs.length === 0) return null;
  const used = backs.filter((one) => closing(one, fronts) === null).map((one) => pooled(one, fronts));
  const longest = used.toSorted((a, b) => (b.idle.ms ?? Infinity) - (a.idle.ms ?? Infinity))[0];
  return (
    longest ?? {
      noReuse: `opens a connection to its server for each request (${closing(backs[0] as Section, fronts) ?? ""})`,
      idle: { ms: null, name: "pool-purge-delay", place: "" },
      hint: null,
      set: null,
    }
  );
}

/**
 * What makes it close connections to its servers: of the frontend and the backend that a request goes through the one that does
 * (configuration.txt, "option http-server-close"); null: nothing, for some frontend at least.
 */
function closing(back: Section, fronts: readonly Section[]): string | null {
  const own = closingOption(back);
  if (own !== null) return `option ${own}`;
  if (back.kind === "listen") return null;
  const options = fronts.map(closingOption);
  const [option] = options;
  return option === undefined || options.includes(null) ? null : `option ${option} of its frontend`;
}

function pooled(section: Section, fronts: readonly Section[]): Sending {
  const { value: delay, place } = serverSetting(section, "pool-purge-delay");
  const purgeMs = delay === null ? defaultPurgeMs : haproxyTime(delay, place);
  const most = Number(serverSetting(section, "pool-max-conn").value ?? Number.NaN);
  if (lastLine(section, "http-reuse")?.words[1] === "never" || purgeMs === 0 || most === 0)
    return ownForEach(fronts);
  const pool = most >= 1 ? most : assumedPool;
  // Half of those that were not needed go each time (srv_cleanup_idle_conns); the last one was seen to go after three delays.
  const delays = 3 + Math.ceil(Math.log2(pool));
  return {
    noReuse: null,
    idle: {
      ms: purgeMs * delays,
      name: `pool-purge-delay ${wholeSeconds(purgeMs)}, ${delays} times, by which the last of ${pool} idle connections is gone`,
      place,
    },
    hint: null,
    set: (ms) => `default-server pool-purge-delay ${wholeSeconds(Math.max(1, Math.floor(ms / delays)))}`,
  };
}

/** Each client has a connection of its own to the server, which lives for as long as the client's. */
function ownForEach(fronts: readonly Section[]): Sending {
  const idles = fronts.map(clientIdle).toSorted((a, b) => (b.ms ?? Infinity) - (a.ms ?? Infinity));
  return {
    noReuse: null,
    idle: idles[0] ?? { ms: null, name: "timeout http-keep-alive", place: "default" },
    hint: null,
    set: (ms) => `timeout http-keep-alive ${wholeSeconds(ms)}`,
  };
}

/** Of the server lines the first that has it, or else of default-server, or of the defaults. */
function serverSetting(section: Section, setting: string): { value: string | null; place: string } {
  const candidates = [
    ...section.lines.filter(({ words }) => words[0] === "server" || words[0] === "server-template"),
    ...section.lines.filter(({ words }) => words[0] === "default-server"),
  ];
  for (const { words, place } of candidates) {
    const at = words.indexOf(setting);
    if (at > 0) return { value: words[at + 1] ?? null, place };
  }
  return section.defaults === null
    ? { value: null, place: "default" }
    : serverSetting(section.defaults, setting);
}

function relayMs(fronts: readonly Section[], backs: readonly Section[]): number | null {
  const times = [
    ...fronts.map((one) => timeout(one, "client")?.ms ?? null),
    ...backs.map((one) => timeout(one, "server")?.ms ?? null),
  ].filter((ms) => ms !== null);
  return times.length === 0 ? null : Math.min(...times);
}

/** Somebody has set how connections are kept, and something else has them closed. */
function* notInEffect(backs: readonly Section[], fronts: readonly Section[], hop: string): Generator<Fault> {
  for (const back of backs) {
    const close = closing(back, fronts);
    const wish = lastLine(back, "http-reuse");
    if (close === null || wish === null || wish.words[1] === "never") continue;
    yield {
      code: "keepalive-not-in-effect",
      message: `${back.kind} ${back.name} is to share connections (http-reuse ${wish.words[1] ?? ""}, ${wish.place}), but ${close} closes each one after its answer.`,
      set: [{ hop, line: `no ${close}` }],
    };
  }
}
