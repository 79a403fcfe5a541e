import { badConfiguration } from "../config-error.js";

/** One directive, with what stands in its block. */
export interface Directive {
  readonly name: string;
  readonly args: readonly string[];
  /** null: it ends with a semicolon. */
  readonly block: readonly Directive[] | null;
  /** `nginx.conf:12` */
  readonly place: string;
}

interface Token {
  readonly text: string;
  /** Braces and semicolons that are not quoted. */
  readonly isMark: boolean;
  readonly line: number;
}

/** What `include` names: file and text of each. */
export type ReadIncluded = (pattern: string, place: string) => readonly { file: string; text: string }[];

/** A file that includes itself would go on for ever. */
const deepest = 20;
/** Blocks within blocks: locations and ifs, a few levels. */
const deepestBlock = 100;
/** Of a word in a message. */
const longestQuote = 60;

/**
 * Reads nginx's language, with what is included put in its place. Pure but for `included`.
 *
 * @param file its name in messages.
 * @throws DeadpeerError `bad-configuration` with file and line.
 * @example parseNginx("keepalive_timeout 65s;", "nginx.conf", () => [])[0]?.args // ["65s"]
 */
export function parseNginx(text: string, file: string, included: ReadIncluded): Directive[] {
  return read(text, file, included, 0);
}

function read(text: string, file: string, included: ReadIncluded, depth: number): Directive[] {
  const tokens = tokenize(text, file);
  let at = 0;
  let open = 0;
  const block = (isInner: boolean, openedAt: string): Directive[] => {
    const found: Directive[] = [];
    for (;;) {
      const first = tokens[at];
      if (first === undefined) {
        if (isInner) throw badConfiguration(openedAt, "the block that begins here has no end");
        return found;
      }
      const place = `${file}:${first.line}`;
      if (first.isMark) {
        at++;
        if (first.text === "}" && isInner) return found;
        if (first.text === ";") continue;
        throw badConfiguration(place, `unexpected "${first.text}"`);
      }
      found.push(...directive(place));
    }
  };
  const directive = (place: string): Directive[] => {
    const words: string[] = [];
    for (;;) {
      const token = tokens[at++];
      if (token === undefined)
        throw badConfiguration(
          place,
          `"${words[0]?.slice(0, longestQuote)}" has no end: ";" or a block is missing`,
        );
      if (!token.isMark) {
        words.push(token.text);
        continue;
      }
      const [name = "", ...args] = words;
      if (token.text === "}")
        throw badConfiguration(`${file}:${token.line}`, `unexpected "}" after "${name}"`);
      if (token.text === "{") {
        if (++open > deepestBlock)
          throw badConfiguration(place, `blocks within blocks, more than ${deepestBlock} deep`);
        const inner = block(true, place);
        open--;
        return [{ name, args, block: inner, place }];
      }
      return name === "include" ? include(args[0] ?? "", place) : [{ name, args, block: null, place }];
    }
  };
  const include = (pattern: string, place: string): Directive[] => {
    if (depth >= deepest)
      throw badConfiguration(place, `files include one another more than ${deepest} deep`);
    return included(pattern, place).flatMap((one) => read(one.text, one.file, included, depth + 1));
  };
  return block(false, file);
}

function tokenize(text: string, file: string): Token[] {
  const tokens: Token[] = [];
  // A quoted word; a word (with escapes, and ${variables}); a mark; a comment; a line break.
  const pattern =
    /"((?:\\[^]|[^"\\])*)"|'((?:\\[^]|[^'\\])*)'|([{};])|(#[^\n]*)|((?:\\[^]|\$\{[^}\s]*\}|[^\s{};#"'\\])(?:\\[^]|\$\{[^}\s]*\}|[^\s{};\\])*)|(\n)|[^\S\n]+|(.)/gy;
  let line = 1;
  for (const match of text.matchAll(pattern)) {
    const [whole, double, single, mark, , word, newline, stray] = match;
    const quoted = double ?? single;
    if (quoted !== undefined)
      tokens.push({ text: quoted.replaceAll(/\\(["'\\])/g, "$1"), isMark: false, line });
    else if (mark !== undefined) tokens.push({ text: mark, isMark: true, line });
    else if (word !== undefined) tokens.push({ text: word, isMark: false, line });
    else if (stray !== undefined)
      throw badConfiguration(`${file}:${line}`, `a quote that begins here has no end`);
    line += newline === undefined ? (whole.match(/\n/g)?.length ?? 0) : 1;
  }
  return tokens;
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  M: 2_592_000_000,
  y: 31_536_000_000,
};

/**
 * nginx's times: "75", "75s", "1h30m", "500ms"; seconds without a unit.
 *
 * @throws DeadpeerError `bad-configuration`
 */
export function nginxTime(text: string, place: string): number {
  // Only the last number may be without a unit, so that there is one way to read it.
  if (!/^(?=\d)(?:\d+(?:ms|[smhdwMy])\s*)*(?:\d+\s*)?$/.test(text))
    throw badConfiguration(place, `"${text.slice(0, longestQuote)}" is not a time`);
  let ms = 0;
  for (const [, number, unit] of text.matchAll(/(\d+)(ms|[smhdwMy])?/g))
    ms += Number(number) * (unitMs[unit ?? "s"] ?? 0);
  if (!Number.isSafeInteger(ms))
    throw badConfiguration(place, `"${text.slice(0, longestQuote)}" is too long`);
  return ms;
}
