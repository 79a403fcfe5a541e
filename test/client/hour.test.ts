import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { LongConnection, type LongConnectionOptions } from "../../src/client/index.js";
import { HeartbeatServer } from "../../src/server/index.js";
import { VirtualClock } from "../../src/time/virtual-clock.js";
import { selfSigned } from "../support/certificate.js";
import { until } from "../support/until.js";

describe("an hour of normal traffic, with silences of a few minutes, by a virtual clock", {
  timeout: 120_000,
}, () => {
  const certificate = selfSigned();
  const key = randomBytes(32);
  for (const transport of ["tcp", "tls", "udp"] as const)
    test(`over ${transport}: no alarm on either side, no more beats than one in a silence, and every message arrives`, async () => {
      const clock = new VirtualClock();
      await using server = new HeartbeatServer({ clock, detect: "normal" });
      const where = { port: 0, host: "127.0.0.1" };
      const { port } =
        transport === "tcp"
          ? await server.listen(where)
          : transport === "tls"
            ? await server.listenTls({ ...where, tls: certificate })
            : await server.listenUdp({ ...where, key });
      const options: LongConnectionOptions = {
        to: `${transport}://127.0.0.1:${port}`,
        ...(transport === "tls" ? { tls: { ca: certificate.cert } } : {}),
        ...(transport === "udp" ? { key } : {}),
        clock,
        watchNetwork: false,
      };
      const connection = new LongConnection(options);
      const alarms: string[] = [];
      for (const name of ["suspect", "offline"] as const) {
        connection.on(name, () => alarms.push(`client ${name}`));
        server.on(name, () => alarms.push(`server ${name}`));
      }
      const heard: string[] = [];
      server.on("data", (session, payload) => session.send(payload));
      connection.on("data", (payload) => heard.push(Buffer.from(payload).toString()));
      await until(() => connection.state === "online");
      let beats = 0;
      let underway = false;
      connection.heartbeat?.on("beat", () => {
        beats++;
        underway = true;
      });
      connection.heartbeat?.on("answer", () => (underway = false));
      const said: string[] = [];
      for (let second = 1; second <= 3_600; second++) {
        await clock.advance(1_000);
        // No time passes while something is on its way, whatever the kernel needs for it.
        if (underway) await until(() => !underway);
        for (let n = 0; n < 10; n++) await turn();
        if (second % 60 !== 0 || second % 300 <= 60) continue;
        said.push(String(second));
        connection.send(String(second));
        await until(() => heard.length === said.length);
      }
      assert.deepEqual(alarms, []);
      assert.deepEqual(heard, said);
      // Either side asks after 19 to 25 s of silence; a question of the server's spares one of the client's.
      assert.ok(beats <= 192, `${beats} beats`);
      const closed = connection.close();
      for (let n = 0; n < 100 && connection.state !== "closed"; n++) {
        await clock.advance(100);
        await turn();
      }
      await closed;
    });
});
