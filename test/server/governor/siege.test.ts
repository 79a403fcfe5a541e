import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { governServer } from "../../../src/server/index.js";
import { missingPrograms } from "../../support/programs.js";

interface Siege {
  readonly transactions: number;
  readonly failed: number;
}

/** It writes into its user's home otherwise. */
async function siege(url: string, clients: number): Promise<Siege> {
  const home = mkdtempSync(join(tmpdir(), "deadpeer-siege-"));
  try {
    const settings = join(home, "siegerc");
    writeFileSync(
      settings,
      "protocol = HTTP/1.1\nconnection = keep-alive\njson_output = true\nlogging = false\n",
    );
    const words = ["-R", settings, "-b", "-q", "-c", String(clients), "-r", "40", url];
    const child = spawn("siege", words, {
      env: { ...process.env, HOME: home },
      stdio: ["ignore", "pipe", "ignore"],
    });
    let said = "";
    child.stdout.on("data", (text) => (said += String(text)));
    await once(child, "close");
    const figure = (name: string): number =>
      Number(new RegExp(`"${name}":\\s*(\\d+)`).exec(said)?.[1] ?? Number.NaN);
    return { transactions: figure("transactions"), failed: figure("failed_transactions") };
  } finally {
    rmSync(home, { recursive: true });
  }
}

describe("siege", { timeout: 60_000, skip: missingPrograms("siege") }, () => {
  for (const host of ["127.0.0.1", "[::1]"])
    test(`fifty clients that ask as fast as they can are all served on ${host}`, async () => {
      const server = createServer((_, response) => response.end("hello\n"));
      const governor = governServer(server, {
        detect: "35s",
        idle: "10s",
        firstByte: "10s",
        head: "10s",
        body: { bytesPerSecond: 100 },
        total: 60,
        perClient: 60,
        maxAge: "1m",
      });
      server.listen({ port: 0, host: "::" });
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const { transactions, failed } = await siege(`http://${host}:${port}/`, 50);
      assert.deepEqual([transactions, failed], [50 * 40, 0]);
      const { refused, evicted, accepted } = governor.snapshot();
      assert.ok(accepted > 0);
      assert.deepEqual(new Set([...Object.values(refused), ...Object.values(evicted)]), new Set([0]));
      const report = await governor.drain({ within: "5s" });
      assert.equal(report.cutOff, 0);
    });
});
