import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { explainCapture } from "../../src/capture/index.js";
import { checkout } from "../support/checkout.js";
import { talk } from "./talk.js";
import { analysisFields, askTshark, framesByKind, needsTshark } from "./tshark.js";
import { pcapFile } from "./wire.js";

/** Public captures that stand beside the project where it is developed. */
const publicCaptures = `${checkout}../shared/captures/`;

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "deadpeer-tshark-test-"));
});
after(() => rmSync(folder, { recursive: true }));

describe("public captures: every frame of every kind is tshark's", {
  skip: needsTshark || (existsSync(publicCaptures) ? false : "needs the public captures beside the checkout"),
}, () => {
  const names = existsSync(publicCaptures)
    ? readdirSync(publicCaptures).filter((name) => /\.pcap(ng)?$/.test(name))
    : [];
  for (const name of names)
    test(name, async () => {
      const path = publicCaptures + name;
      const theirs = await askTshark(path);
      assert.deepEqual(framesByKind(await explainCapture(readFileSync(path))), theirs);
    });

  test("they have most kinds in them", async () => {
    const theirs = await Promise.all(names.map((name) => askTshark(publicCaptures + name)));
    const kinds = new Set(theirs.flatMap((frames) => Object.keys(frames)));
    assert.ok(kinds.size >= 8, [...kinds].join(" "));
  });
});

describe("random connections: every frame of every kind is tshark's", { skip: needsTshark }, () => {
  for (const seed of [1, 2, 3])
    test(`seed ${seed}`, async () => {
      const path = join(folder, `${seed}.pcap`);
      writeFileSync(path, pcapFile(talk(seed, 600)));
      const theirs = await askTshark(path);
      assert.deepEqual(Object.keys(theirs).sort(), Object.keys(analysisFields).sort(), "every kind is there");
      assert.deepEqual(framesByKind(await explainCapture(readFileSync(path))), theirs);
    });
});
