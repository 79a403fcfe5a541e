import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { checkout } from "../support/checkout.js";
import { ok, reset, scriptedServer } from "../support/scripted-http.js";

const names = ["http-fetch", "http-node", "http-axios", "http-got"];
// Inside the checkout, so that "deadpeer" means this very package.
const directory = `${checkout}.build/examples-${process.pid}`;

describe("examples/http-*.ts", () => {
  after(() => rmSync(directory, { recursive: true, force: true }));
  before(() => {
    mkdirSync(directory, { recursive: true });
    writeFileSync(
      `${directory}/tsconfig.json`,
      JSON.stringify({
        extends: `${checkout}tsconfig.json`,
        compilerOptions: { noEmit: false, declaration: false, rootDir: `${checkout}examples`, outDir: "." },
        include: names.map((name) => `${checkout}examples/${name}.ts`),
      }),
    );
    const { status, stdout } = spawnSync(
      process.execPath,
      [`${checkout}node_modules/typescript/bin/tsc`, "-p", directory, "--pretty", "false"],
      { encoding: "utf8" },
    );
    assert.equal(status, 0, stdout);
  });

  for (const name of names)
    test(`${name} runs, over a server that closes every second time`, async () => {
      let asked = 0;
      await using server = await scriptedServer(({ index, socket }) => {
        asked += 1;
        return index % 2 === 0 ? ok : reset(socket);
      });
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [`${directory}/${name}.js`, server.origin, "30"],
        { timeout: 50_000 },
      );
      const answers = stdout.match(/^200 ok$/gm) ?? [];
      assert.equal(answers.length, name === "http-fetch" ? 6 : 5, stdout);
      assert.match(stdout, /replayed: [1-9]/);
      assert.ok(asked > answers.length, "some were sent again");
    });
});
