import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Why pages cannot be checked here; false: they can. */
export const needsPageTools: string | false =
  ["xmllint", "chromium", "python3"]
    .filter((tool) => spawnSync(tool, ["--version"]).error !== undefined)
    .map((tool) => `needs ${tool}`)[0] ?? false;

/** Every tag is closed in its turn, none is unknown to it, no id comes twice. */
const wellFormed = `
import html.parser, sys
void = {"meta", "br", "hr", "img", "link", "input"}
open_tags, ids, problems = [], set(), []
class Check(html.parser.HTMLParser):
    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)): problems.append(f"{self.getpos()}: attribute twice in <{tag}>")
        for name, value in attrs:
            if name == "id":
                if value in ids: problems.append(f"{self.getpos()}: id {value} twice")
                ids.add(value)
        if tag not in void: open_tags.append(tag)
    def handle_startendtag(self, tag, attrs): pass
    def handle_endtag(self, tag):
        if not open_tags or open_tags[-1] != tag: problems.append(f"{self.getpos()}: </{tag}> closes {open_tags[-1:]}")
        else: open_tags.pop()
check = Check(convert_charrefs=False)
check.feed(sys.stdin.read())
check.close()
problems += [f"<{tag}> stays open" for tag in open_tags]
print("\\n".join(problems))
`;

/** Tells of texts that lie on one another or leave their drawing, and of what reaches beyond the page, as the browser lays it out. */
const measure = `
addEventListener("load", () => {
  const problems = [];
  const cut = (one, other) => one.left < other.right - 0.5 && other.left < one.right - 0.5 && one.top < other.bottom - 0.5 && other.top < one.bottom - 0.5;
  for (const svg of document.querySelectorAll("svg")) {
    const page = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map((text) => ({ words: text.textContent, box: text.getBoundingClientRect() }));
    for (const [index, { words, box }] of texts.entries()) {
      if (box.left < page.left || box.right > page.right || box.bottom > page.bottom) problems.push(words + " leaves the drawing");
      for (const other of texts.slice(index + 1)) if (cut(box, other.box)) problems.push(words + " lies on " + other.words);
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) problems.push("the page is wider than its window");
  document.documentElement.dataset.problems = JSON.stringify(problems);
});
`;

/** Holds a page against real parsers: HTML's as Python has it, XML's for its drawings. */
export function assertWellFormed(page: string): void {
  const { stdout, stderr } = spawnSync("python3", ["-c", wellFormed], { input: page, encoding: "utf8" });
  assert.equal(stdout.trim() + stderr, "");
  const drawings = page.match(/<svg[\s\S]*?<\/svg>/g) ?? [];
  const lint = spawnSync("xmllint", ["--noout", "-"], {
    input: `<all>${drawings.join("")}</all>`,
    encoding: "utf8",
  });
  assert.equal(lint.stderr, "");
}

/** Opens a page in Chromium at a width and asserts that nothing overlaps, nothing sticks out, and nothing is complained about. */
export function assertReadable(page: string, width: number): void {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-page-"));
  try {
    const file = join(folder, "page.html");
    // The page forbids scripts; the copy that is measured has to allow one.
    const measured = page.replace("default-src &#39;none&#39;", "script-src &#39;unsafe-inline&#39;");
    assert.notEqual(measured, page);
    writeFileSync(
      file,
      measured.replace("</head>", () => `<script>${measure}</script></head>`),
    );
    const { stdout, stderr, status } = spawnSync("chromium", chromiumArgs(folder, width, `file://${file}`), {
      encoding: "utf8",
      maxBuffer: 2 ** 28,
      timeout: 60_000,
    });
    assert.equal(status, 0, stderr);
    const problems = /data-problems="([^"]*)"/.exec(stdout)?.[1];
    assert.equal(problems, "[]", problems ?? "the page was not measured");
    assert.doesNotMatch(stderr, /CONSOLE/);
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function chromiumArgs(folder: string, width: number, url: string): string[] {
  return [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    `--user-data-dir=${join(folder, "profile")}`,
    `--window-size=${width},900`,
    "--dump-dom",
    url,
  ];
}
