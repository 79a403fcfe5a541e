import { readFileSync } from "node:fs";

/** A fenced block of a Markdown file. */
export interface Block {
  readonly file: string;
  /** The line of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  /** The words behind the language. */
  readonly flags: readonly string[];
  readonly text: string;
  /** The HTML comment right above it, which readers do not see. */
  readonly comment: string | null;
  /** The block right below it, if that is plain text: what the commands print. */
  readonly output: string | null;
}

/** A link or an image of a Markdown file. */
export interface Link {
  readonly line: number;
  readonly target: string;
}

export interface Markdown {
  readonly blocks: readonly Block[];
  readonly links: readonly Link[];
  /** What a link's #fragment can name. */
  readonly anchors: ReadonlySet<string>;
}

/** Reads what the tests need to know of a Markdown file. `name` is how failures call it. */
export function readMarkdown(path: string, name: string): Markdown {
  const lines = readFileSync(path, "utf8").split("\n");
  const blocks: Block[] = [];
  const links: Link[] = [];
  const anchors = new Set<string>();
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? "";
    const fence = /^( *)(`{3,})(.*)$/.exec(line);
    if (fence !== null) {
      const { block, end } = readBlock(lines, index, name);
      blocks.push(block);
      index = end;
      continue;
    }
    const heading = /^#+ (.*)$/.exec(line)?.[1];
    if (heading !== undefined) anchors.add(slug(heading));
    for (const [, id = ""] of line.matchAll(/<a id="([^"]+)">/g)) anchors.add(id);
    for (const [, target = ""] of line.replaceAll(/`[^`]*`/g, "").matchAll(/\]\(([^()\s]+)\)/g))
      links.push({ line: index + 1, target });
  }
  return { blocks, links, anchors };
}

function readBlock(lines: readonly string[], start: number, file: string): { block: Block; end: number } {
  const [, indent = "", fence = "", info = ""] = /^( *)(`{3,})(.*)$/.exec(lines[start] ?? "") ?? [];
  const end = lines.findIndex((line, index) => index > start && line.trim() === fence);
  if (end < 0) throw new Error(`${file}:${start + 1}: this block is never closed`);
  const [language = "", ...flags] = info.trim().split(/\s+/);
  const text = lines
    .slice(start + 1, end)
    .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line))
    .join("\n");
  return {
    block: {
      file,
      line: start + 1,
      language,
      flags,
      text,
      comment: commentAbove(lines, start),
      output: outputBelow(lines, end),
    },
    end,
  };
}

function commentAbove(lines: readonly string[], start: number): string | null {
  const end = lastFilled(lines, start);
  if (end < 0 || lines[end]?.trimEnd().endsWith("-->") !== true) return null;
  let first = end;
  while (first > 0 && lines[first]?.includes("<!--") !== true) first--;
  return /<!--([^]*)-->/.exec(lines.slice(first, end + 1).join("\n"))?.[1]?.trim() ?? null;
}

function lastFilled(lines: readonly string[], before: number): number {
  let index = before - 1;
  while (index >= 0 && lines[index]?.trim() === "") index--;
  return index;
}

function outputBelow(lines: readonly string[], end: number): string | null {
  let start = end + 1;
  while (start < lines.length && lines[start]?.trim() === "") start++;
  if (lines[start]?.trim() !== "```text") return null;
  const close = lines.findIndex((line, index) => index > start && line.trim() === "```");
  return close < 0 ? null : lines.slice(start + 1, close).join("\n");
}

/** The anchor that GitHub gives a heading. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .trim()
    .replaceAll(" ", "-");
}
