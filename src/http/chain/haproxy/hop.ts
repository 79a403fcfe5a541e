import {
  type Fault,
  type Hop,
  type Keeping,
  type Role,
  type Sending,
  type Span,
  wholeSeconds,
} from "../hop.js";
import { hasOption, haproxyTime, lastLine, type Section } from "./sections.js";

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
    ({ kind }) => kind === "frontend" || kind === "backend" || kind === "listen",
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
    faults: role === "server" ? [] : [...notInEffect(backs.filter(isHttp), name)],
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

/** @returns null where nothing sets it: it never ends then. */
function timeout(section: Section, ...names: readonly string[]): Span | null {
  for (const name of names) {
    const line = lastLine(section, "timeout", name);
    const [, , text] = line?.words ?? [];
    if (line === null || text === undefined) continue;
    const ms = haproxyTime(text, line.place);
    return { ms: ms === 0 ? null : ms, name: `timeout ${name}`, place: line.place };
  }
  return null;
}

/** Between two requests of a client: configuration.txt, "timeout http-keep-alive", names what counts instead. */
function clientIdle(section: Section): Span {
  return (
    timeout(section, "http-keep-alive", "http-request", "client") ?? {
      ms: null,
      name: "timeout http-keep-alive",
      place: "default",
    }
  );
}

function keepingOf(fronts: readonly Section[]): Keeping | null {
  if (fronts.length === 0) return null;
  const kept = fronts.filter((one) => !hasOption(one, "httpclose")).map(clientIdle);
  const shortest = kept.toSorted((a, b) => (a.ms ?? Infinity) - (b.ms ?? Infinity))[0];
  return {
    noKeepAlive: shortest === undefined ? "closes after each answer (option httpclose)" : null,
    keepAlive: shortest ?? { ms: 0, name: "option httpclose", place: "" },
    advertisedMs: null,
    set: (ms) => `timeout http-keep-alive ${wholeSeconds(ms)}`,
  };
}

function sendingOf(backs: readonly Section[], fronts: readonly Section[]): Sending | null {
  if (backs.length === 0) return null;
  const used = backs.filter((one) => closing(one) === null).map((one) => pooled(one, fronts));
  const longest = used.toSorted((a, b) => (b.idle.ms ?? Infinity) - (a.idle.ms ?? Infinity))[0];
  return (
    longest ?? {
      noReuse: `opens a connection to its server for each request (${closing(backs[0] as Section) ?? ""})`,
      idle: { ms: null, name: "pool-purge-delay", place: "" },
      hint: null,
      set: null,
    }
  );
}

/** What makes it close connections to its servers; null: nothing does. */
function closing(section: Section): string | null {
  for (const option of ["httpclose", "http-server-close"])
    if (hasOption(section, option)) return `option ${option}`;
  return null;
}

function pooled(section: Section, fronts: readonly Section[]): Sending {
  const { value: delay, place } = serverSetting(section, "pool-purge-delay");
  if (lastLine(section, "http-reuse")?.words[1] === "never" || delay === "0") return ownForEach(fronts);
  const purgeMs = delay === null ? defaultPurgeMs : haproxyTime(delay, place);
  const most = Number(serverSetting(section, "pool-max-conn").value ?? Number.NaN);
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
function* notInEffect(backs: readonly Section[], hop: string): Generator<Fault> {
  for (const back of backs) {
    const close = closing(back);
    const wish = lastLine(back, "http-reuse");
    if (close === null || wish === null || wish.words[1] === "never") continue;
    yield {
      code: "keepalive-not-in-effect",
      message: `${back.kind} ${back.name} is to share connections (http-reuse ${wish.words[1] ?? ""}, ${wish.place}), but ${close} closes each one after its answer.`,
      set: [{ hop, line: `no ${close}` }],
    };
  }
}
