import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { HeartbeatServer } from "../../src/server/heartbeat-server.js";
import { selfSigned } from "../support/certificate.js";
import { checkout } from "../support/checkout.js";

const needsPython = spawnSync("python3", ["--version"]).error === undefined ? false : "needs python3";

describe("the client in Python", { skip: needsPython, timeout: 60_000 }, () => {
  test("takes what no server may say for a lost connection", () => {
    const { status, stdout, stderr } = spawnSync(
      "python3",
      ["-B", `${checkout}test/examples/malformed.py`, `${checkout}examples/python`],
      { encoding: "utf8" },
    );
    assert.deepEqual([status, stdout, stderr], [0, "", ""]);
  });

  for (const how of ["tcp", "tls", "udp with a key", "udp with a key from tcp"] as const)
    test(`speaks with a HeartbeatServer over ${how}: hello, beats, data, resume, bye`, async () => {
      const folder = mkdtempSync(join(tmpdir(), "deadpeer-python-"));
      const certificate = selfSigned();
      writeFileSync(join(folder, "ca.pem"), certificate.cert);
      await using server = new HeartbeatServer();
      server.payload = () => "load 0.3";
      const heard: string[] = [];
      const events: string[] = [];
      let id = "";
      server.on("session", (session) => (id = session.id));
      server.on("resumed", () => events.push("resumed"));
      server.on("offline", (_, { state }) => events.push(state));
      server.on("end", (_, why) => events.push(why));
      server.on("data", (session, payload) => {
        const text = Buffer.from(payload).toString();
        heard.push(text);
        if (text === "1") session.send("one");
        if (text !== "cut") return;
        session.evict("a test");
        session.send("meanwhile");
      });
      const where = { port: 0, host: "127.0.0.1" };
      const { port } =
        how === "tls" ? await server.listenTls({ ...where, tls: certificate }) : await server.listen(where);
      const { port: udpPort } = await server.listenUdp({ ...where, key: Buffer.alloc(32, 7) });
      const python = spawn("python3", [
        "-B",
        `${checkout}test/examples/interop.py`,
        `${checkout}examples/python`,
        how,
        String(port),
        String(udpPort),
        join(folder, "ca.pem"),
      ]);
      let output = "";
      python.stdout.on("data", (chunk) => (output += String(chunk)));
      python.stderr.on("data", (chunk) => (output += String(chunk)));
      const status = await new Promise((resolve) => python.on("close", resolve));
      rmSync(folder, { recursive: true });
      assert.equal(status, 0, output);
      assert.deepEqual(output.trim().split("\n"), [
        `connected ${id} False`,
        "heard one",
        "beats answered, with load 0.3",
        "lost 6",
        `connected again ${id} True`,
        "heard one meanwhile",
        "refused 5",
      ]);
      assert.deepEqual(events, ["evicted", "resumed", "closed", "bye"]);
      // None lost and none twice: how many were on their way at the cut is the network's secret.
      assert.deepEqual(
        [...new Set(heard)],
        ["before the connection", "1", "cut", "on its way", "while away"],
      );
      for (const once of ["1", "cut", "while away"])
        assert.equal(heard.filter((text) => text === once).length, 1);
    });
});
