import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { checkout } from "../support/checkout.js";
import { documents } from "./files.js";
import { type Block, readMarkdown } from "./markdown.js";

/**
 * Every `ts` block of the documents is type-checked against the built package, and run. What it needs around it stands in a
 * comment above it, <!-- with: declare const socket: import("node:net").Socket; -->, and it is then not run. A complete block that
 * must not be run (it serves for ever, it needs a database) is marked `ts no-run`, with <!-- not run: reason --> above it.
 * `js` blocks are parsed.
 */
const blocks = documents
  .flatMap((file) => readMarkdown(checkout + file, file).blocks)
  .filter(({ language }) => language === "ts" || language === "js");

// Inside the checkout, so that "deadpeer" means this very package.
const directory = `${checkout}.build/docs-${process.pid}`;
const nameOf = ({ file, line }: Block): string => `${file.replaceAll(/[^\w]/g, "-")}-${line}`;
const preludeOf = ({ comment }: Block): string | null =>
  /^with:([^]*)$/.exec(comment ?? "")?.[1]?.trim() ?? null;

describe("the snippets in the documents", () => {
  let compiled: string;
  after(() => rmSync(directory, { recursive: true, force: true }));
  before(() => {
    mkdirSync(directory, { recursive: true });
    for (const block of blocks)
      writeFileSync(`${directory}/${nameOf(block)}.${block.language === "ts" ? "ts" : "mjs"}`, padded(block));
    writeFileSync(
      `${directory}/tsconfig.json`,
      JSON.stringify({
        extends: `${checkout}tsconfig.json`,
        compilerOptions: {
          noEmit: false,
          declaration: false,
          rootDir: ".",
          outDir: "out",
          moduleDetection: "force",
          noUnusedLocals: false,
          noUnusedParameters: false,
        },
        include: ["*.ts"],
      }),
    );
    compiled = blocks.some(({ language }) => language === "ts")
      ? spawnSync(
          process.execPath,
          [`${checkout}node_modules/typescript/bin/tsc`, "-p", directory, "--pretty", "false"],
          {
            encoding: "utf8",
            cwd: directory,
          },
        ).stdout
      : "";
  });

  for (const block of blocks) {
    const where = `${block.file}:${block.line}`;
    if (block.language === "js") {
      test(where, () => {
        const { status, stderr } = spawnSync(
          process.execPath,
          ["--check", `${directory}/${nameOf(block)}.mjs`],
          { encoding: "utf8" },
        );
        assert.equal(status, 0, `${where}: ${stderr}`);
      });
      continue;
    }
    test(`${where} has the right types`, () => {
      const found = compiled
        .split("\n")
        .filter((line) => line.includes(`${nameOf(block)}.ts(`))
        // A block stands in its file on the line that it has in the document.
        .map((line) => line.replace(/^.*\.ts\((\d+),\d+\): error /, `${block.file}:$1: `));
      assert.deepEqual(found, []);
    });
    if (block.flags.includes("no-run")) {
      test(`${where} says why it is not run`, () => {
        assert.match(block.comment ?? "", /not run: \S/, `${where}: write <!-- not run: reason --> above it`);
      });
    } else if (preludeOf(block) === null) {
      test(`${where} runs`, () => {
        const { status, stderr } = spawnSync(process.execPath, [`${directory}/out/${nameOf(block)}.js`], {
          encoding: "utf8",
          cwd: checkout,
          timeout: 20_000,
        });
        assert.equal(status, 0, `${where} ended with ${status}:\n${stderr}`);
      });
    }
  }
});

/** Puts a block on its own line numbers, behind what its comment supplies. */
function padded(block: Block): string {
  const prelude = (preludeOf(block) ?? "").replaceAll(/\s*\n\s*/g, " ");
  return `${prelude}${"\n".repeat(block.line)}${block.text}\n`;
}
