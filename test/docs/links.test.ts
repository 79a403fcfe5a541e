import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, test } from "node:test";
import { statusOf } from "../../src/cli/exit.js";
import { type ErrorCode, errorCodes } from "../../src/errors.js";
import { checkout } from "../support/checkout.js";
import { documents } from "./files.js";
import { readMarkdown } from "./markdown.js";

describe("links within the documents lead somewhere", () => {
  for (const file of documents)
    test(file, () => {
      const broken = readMarkdown(checkout + file, file)
        .links.filter(({ target }) => !/^[a-z]+:/.test(target))
        .filter(({ target }) => !leadsSomewhere(file, target))
        .map(({ line, target }) => `${file}:${line}: ${target}`);
      assert.deepEqual(broken, []);
    });
});

describe("every block says what it is", () => {
  for (const file of documents)
    test(file, () => {
      const unnamed = readMarkdown(checkout + file, file)
        .blocks.filter(({ language }) => language === "")
        .map(({ line }) => `${file}:${line}: a block needs a language, "text" at the least`);
      assert.deepEqual(unnamed, []);
    });
});

describe("docs/errors.md", () => {
  const sections = readFileSync(`${checkout}docs/errors.md`, "utf8")
    .split(/^### /m)
    .slice(1)
    .map((section) => section.split("\n"));

  test("has every code, in the table's order, and no other", () => {
    assert.deepEqual(
      sections.map(([code]) => code),
      Object.keys(errorCodes),
    );
  });

  for (const [code = "", ...text] of sections)
    test(`gives ${code} the exit status that the command line gives it`, () => {
      const [, status] = /Exit\s+status\s+(\d)\./.exec(text.join("\n")) ?? [];
      // An abort is Ctrl-C, and the signal is the status.
      const expected = code === "aborted" ? undefined : String(statusOf(code as ErrorCode));
      assert.equal(status, expected);
    });
});

function leadsSomewhere(file: string, target: string): boolean {
  const [path = "", fragment] = target.split("#");
  const whole = path === "" ? file : normalize(join(dirname(file), path));
  if (!existsSync(checkout + whole)) return false;
  return fragment === undefined || readMarkdown(checkout + whole, whole).anchors.has(fragment);
}
