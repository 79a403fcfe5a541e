import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { checkout, cli } from "../support/checkout.js";
import { Sandbox } from "../support/sandbox.js";
import { documents } from "./files.js";
import { type Block, readMarkdown } from "./markdown.js";

/**
 * Every `sh` block of the documents is run, in a sandbox whose network, processes and configuration are its own, in order and from
 * the checkout's folder. A block marked `sh no-run` is not; a comment above it says why: <!-- not run: reason -->. A command whose
 * status is not 0 is announced: `sh exit=1`. A `text` block right below commands of `deadpeer plan` is compared with what
 * they print (UPDATE_SNAPSHOTS=1 writes it anew); what other commands print depends on the machine.
 */
for (const file of documents) {
  const blocks = readMarkdown(checkout + file, file).blocks.filter(({ language }) => language === "sh");
  if (blocks.length === 0) continue;
  describe(`the commands in ${file}`, { skip: Sandbox.missing() }, () => {
    let sandbox: Sandbox;
    let bin: string;
    before(async () => {
      sandbox = await Sandbox.open();
      bin = mkdtempSync(join(tmpdir(), "deadpeer-docs-"));
      // What npx does in a checkout, without the second that npm takes to do it.
      const shim = `#!/bin/sh\n[ "$1" = deadpeer ] || { echo "npx $1: only deadpeer is run here" >&2; exit 127; }\nshift\nexec '${process.execPath}' '${cli}' "$@"\n`;
      writeFileSync(`${bin}/npx`, shim);
      chmodSync(`${bin}/npx`, 0o755);
    });
    after(async () => {
      await sandbox[Symbol.asyncDispose]();
      rmSync(bin, { recursive: true });
    });

    for (const block of blocks) {
      const where = `${file}:${block.line}`;
      if (block.flags.includes("no-run")) {
        test(`${where} says why it is not run`, () => {
          assert.match(
            block.comment ?? "",
            /^not run: \S/,
            `${where}: write <!-- not run: reason --> above it`,
          );
        });
        continue;
      }
      test(where, () => {
        const expected = exitStatus(block);
        const script = `cd '${checkout}'\nexport PATH='${bin}':"$PATH"\nset -e\n${block.text}\n`;
        const { status, stdout, stderr } = sandbox.run("timeout", "30", "sh", "-c", script);
        assert.equal(status, expected, `${where} ended with ${status}:\n${stderr}`);
        if (block.output === null || !isPure(block)) return;
        if (process.env["UPDATE_SNAPSHOTS"] === "1") replaceOutput(file, block.output, stdout.trimEnd());
        else assert.equal(stdout.trimEnd(), block.output.trimEnd(), where);
      });
    }
  });
}

function exitStatus({ file, line, flags }: Block): number {
  let status = 0;
  for (const flag of flags) {
    const asked = /^exit=(\d+)$/.exec(flag)?.[1];
    assert.ok(
      asked !== undefined,
      `${file}:${line}: "${flag}" is no flag of sh; there are no-run and exit=N`,
    );
    status = Number(asked);
  }
  return status;
}

function replaceOutput(file: string, before: string, after: string): void {
  const text = readFileSync(checkout + file, "utf8");
  writeFileSync(
    checkout + file,
    text.replace(`\`\`\`text\n${before}\n\`\`\``, () => `\`\`\`text\n${after}\n\`\`\``),
  );
}

/** Prints the same everywhere. */
function isPure({ text }: Block): boolean {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .every((line) => line.startsWith("npx deadpeer plan"));
}
