import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";

const client = new URL("../../src/client/index.js", import.meta.url).href;
const server = new URL("../../src/server/index.js", import.meta.url).href;

/** A program in which both sides say something that cannot be said, with every beat; what it prints. */
function told(payload: string): { status: number | null; lines: string[] } {
  const program = `
    const { LongConnection } = await import(${JSON.stringify(client)});
    const { HeartbeatServer } = await import(${JSON.stringify(server)});
    const problems = new Set();
    process.on("uncaughtException", ({ code = "", message }) => problems.add(code + " " + message));
    const detect = { idle: "100ms", interval: "50ms", count: 2 };
    const server = new HeartbeatServer({ detect });
    server.payload = ${payload};
    const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
    const connection = new LongConnection({ to: "tcp://127.0.0.1:" + port, detect, payload: ${payload} });
    connection.on("offline", ({ sentence }) => console.log("client: " + sentence));
    server.on("offline", (_, { sentence }) => console.log("server: " + sentence));
    setTimeout(() => {
      console.log(connection.state);
      for (const problem of problems) console.log(problem);
      process.exit(0);
    }, 1500);
  `;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  return { status, lines: stdout.trim().split("\n") };
}

describe("what an application says with its beats", { timeout: 30_000 }, () => {
  test("if it is too much, the beat goes without, nobody is taken for dead, and the error is told", () => {
    assert.deepEqual(told("() => Buffer.alloc(65_537)"), {
      status: 0,
      lines: [
        "online",
        "bad-option payload: 65537 bytes; a beat carries 65536 at most, send more as a message",
      ],
    });
  });

  test("an error in saying it is the application's, and nobody's death", () => {
    assert.deepEqual(told('() => { throw new Error("broken gauge"); }'), {
      status: 0,
      lines: ["online", " broken gauge"],
    });
  });
});
