import { badConfiguration } from "../config-error.js";

/** One line of a section, cut into words. */
export interface Line {
  readonly words: readonly string[];
  /** `haproxy.cfg:12` */
  readonly place: string;
}

export type SectionKind = "global" | "defaults" | "frontend" | "backend" | "listen" | "other";

export interface Section {
  readonly kind: SectionKind;
  readonly name: string;
  readonly lines: readonly Line[];
  /** The defaults section that counts for it; null: none. */
  readonly defaults: Section | null;
  readonly place: string;
}

/** As long as its lines come. */
interface Growing extends Section {
  readonly lines: Line[];
}

const kinds = new Set<string>(["global", "defaults", "frontend", "backend", "listen"]);
/** Lines that say something about idle connections. */
const counted = new Set([
  "timeout",
  "option",
  "no",
  "mode",
  "server",
  "default-server",
  "http-reuse",
  "disabled",
]);
/** Sections of other kinds, which have to be told from what goes on in one. */
const others = new Set([
  "peers",
  "mailers",
  "resolvers",
  "userlist",
  "program",
  "http-errors",
  "ring",
  "log-forward",
  "cache",
  "fcgi-app",
  "crt-list",
  "crt-store",
  "traces",
  "acme",
  "log-profile",
]);

/**
 * Reads haproxy's language into sections, each with the defaults that it inherits: those before it, or those that it names (2.4).
 *
 * Pure.
 *
 * @throws DeadpeerError `bad-configuration` with file and line.
 */
export function parseHaproxy(text: string, file: string): Section[] {
  const sections: Growing[] = [];
  let defaults: Section | null = null;
  let conditions = 0;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const place = `${file}:${index + 1}`;
    const words = wordsOf(raw, place);
    const [first = "", name = ""] = words;
    if (first === "") continue;
    if (first.startsWith(".")) {
      if (first === ".if") conditions++;
      else if (first === ".endif") conditions--;
      continue;
    }
    if (conditions > 0 && (kinds.has(first) || counted.has(first)))
      throw badConfiguration(
        place,
        `"${words.slice(0, 2).join(" ").slice(0, 60)}" depends on a condition (.if); give figures instead`,
      );
    if (kinds.has(first) || others.has(first)) {
      const from = words.indexOf("from");
      const named = from > 0 ? (words[from + 1] ?? "") : null;
      const inherited: Section | null =
        named === null ? (first === "defaults" ? null : defaults) : findDefaults(sections, named, place);
      const kind = kinds.has(first) ? (first as SectionKind) : "other";
      const section: Growing = {
        kind,
        name: name === "from" ? "" : name,
        lines: [],
        defaults: inherited,
        place,
      };
      sections.push(section);
      if (kind === "defaults") defaults = section;
      continue;
    }
    const section = sections.at(-1);
    if (section === undefined) throw badConfiguration(place, `"${first}" stands in no section`);
    section.lines.push({ words, place });
  }
  return sections;
}

function findDefaults(sections: readonly Section[], name: string, place: string): Section {
  const found = sections.find((section) => section.kind === "defaults" && section.name === name);
  if (found === undefined) throw badConfiguration(place, `there is no defaults section "${name}"`);
  return found;
}

/** Quotes, backslashes and comments as in configuration.txt, section 2.2. */
function wordsOf(line: string, place: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  for (const match of line.matchAll(/\\(.)|"((?:\\.|[^"\\])*)"|'([^']*)'|(#)|(\s+)|(["'])|([^])/g)) {
    const [, escaped, double, single, comment, space, stray, plain] = match;
    if (stray !== undefined) throw badConfiguration(place, "a quote that begins here has no end");
    if (comment !== undefined) break;
    if (space !== undefined) {
      if (word !== null) words.push(word);
      word = null;
      continue;
    }
    word = (word ?? "") + (escaped ?? double ?? single ?? plain ?? "");
  }
  if (word !== null) words.push(word);
  return words;
}

/** The last line that begins with these words, in the section or else in its defaults. */
export function lastLine(section: Section, ...start: readonly string[]): Line | null {
  const found = section.lines.findLast(({ words }) => start.every((word, index) => words[index] === word));
  return found ?? (section.defaults === null ? null : lastLine(section.defaults, ...start));
}

const modes = new Set(["httpclose", "http-server-close", "http-keep-alive"]);

/**
 * Which option has connections closed: of those that replace one another the last one counts, and "no" takes back the one that it
 * names (cfgparse-listen.c, PR_O_HTTP_MODE); null: none.
 */
export function closingOption(section: Section): "httpclose" | "http-server-close" | null {
  let mode: string | null = section.defaults === null ? null : closingOption(section.defaults);
  for (const { words } of section.lines) {
    const isNo = words[0] === "no";
    const [keyword, option = ""] = isNo ? words.slice(1) : words;
    if (keyword !== "option" || !modes.has(option)) continue;
    if (!isNo) mode = option;
    else if (mode === option) mode = null;
  }
  return mode === "httpclose" || mode === "http-server-close" ? mode : null;
}

/** haproxy then reads it, and does nothing with it. */
export function isDisabled(section: Section): boolean {
  const said = section.lines.findLast(({ words: [first] }) => first === "disabled" || first === "enabled");
  if (said !== undefined) return said.words[0] === "disabled";
  return section.defaults !== null && isDisabled(section.defaults);
}

const unitMs: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * haproxy's times: "30s", "5m"; milliseconds without a unit.
 *
 * @throws DeadpeerError `bad-configuration`
 */
export function haproxyTime(text: string, place: string): number {
  const [, number, unit = "ms"] = /^(\d+)(us|ms|s|m|h|d)?$/.exec(text) ?? [];
  if (number === undefined)
    throw badConfiguration(
      place,
      text.includes("$")
        ? `"${text}" depends on the environment; give figures instead`
        : `"${text}" is not a time`,
    );
  const ms = Number(number) * (unitMs[unit] ?? 1);
  // haproxy itself takes no more than 2³¹ − 1 ms.
  if (ms > 2_147_483_647) throw badConfiguration(place, `"${text.slice(0, 60)}" is too long`);
  return ms;
}
