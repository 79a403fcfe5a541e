import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { overDatagrams } from "../../src/heartbeat/adapters/datagrams.js";
import { overFrames } from "../../src/heartbeat/adapters/frames.js";
import { heartbeat } from "../../src/heartbeat/heartbeat.js";
import { guard } from "../../src/guard/guard.js";
import type { Verdict } from "../../src/verdict/verdict.js";
import { selfSigned } from "../support/certificate.js";
import { until } from "../support/until.js";

const quick = { idle: "200ms", interval: "100ms", count: 3 };

describe("deadpeer's own frames over a socket", { timeout: 30_000 }, () => {
  const servers: Server[] = [];
  const sockets: Socket[] = [];
  after(() => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers) server.close();
  });

  async function pair(transport: "tcp" | "tls"): Promise<[Socket, Socket]> {
    const certificate = selfSigned();
    const server = transport === "tcp" ? createServer() : createTlsServer(certificate);
    servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const accepted = once(server, transport === "tcp" ? "connection" : "secureConnection") as Promise<
      [Socket]
    >;
    const near =
      transport === "tcp"
        ? connect(port, "127.0.0.1")
        : connectTls({ port, host: "127.0.0.1", ca: certificate.cert });
    await once(near, transport === "tcp" ? "connect" : "secureConnect");
    const [far] = await accepted;
    sockets.push(near, far);
    return [near, far];
  }

  for (const [what, bytes] of [
    ["says goodbye", "0600000100"],
    ["says nonsense", "05000001ff"],
  ] as const)
    test(`a peer that ${what} and never closes does not keep the socket`, async () => {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        sockets.push(socket);
        socket.on("error", () => {});
        socket
          .resume()
          .write(
            Buffer.from(`0100001c4450484201000061a800009c40001000000000000000000000000000${bytes}`, "hex"),
          );
        const trickle = setInterval(() => socket.write(Buffer.from("0700000100", "hex")), 100);
        socket.on("close", () => clearInterval(trickle));
      }).listen(0, "127.0.0.1");
      servers.push(server);
      await once(server, "listening");
      const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
      await once(socket, "connect");
      heartbeat(overFrames(socket), "normal");
      await once(socket, "close");
    });

  test("what cannot be sent is refused when it is given, also before the hello", async () => {
    const [near] = await pair("tcp");
    const frames = overFrames(near);
    heartbeat(frames, quick).on("verdict", () => {});
    assert.throws(() => frames.send(Buffer.alloc(2 ** 21)), { code: "bad-option" });
    assert.throws(() => frames.send({} as Uint8Array), { code: "bad-option", message: /text or bytes/ });
  });

  for (const transport of ["tcp", "tls"] as const)
    test(`over ${transport}: messages, payloads, and a living peer that says nothing stays`, async () => {
      const [near, far] = await pair(transport);
      const heard: string[] = [];
      const farFrames = overFrames(far, {
        accepted: true,
        onData: (payload) => farFrames.send(Buffer.from(`${Buffer.from(payload).toString()}, too`)),
      });
      const nearFrames = overFrames(near, {
        onData: (payload) => heard.push(Buffer.from(payload).toString()),
      });
      const farBeats = heartbeat(farFrames, quick, { payload: () => "far" });
      const nearBeats = heartbeat(nearFrames, quick, { payload: () => "near" });
      nearFrames.send(Buffer.from("hello"));
      await until(() => heard.length === 1);
      assert.deepEqual(heard, ["hello, too"]);
      const said = await Promise.all([once(farBeats, "payload"), once(nearBeats, "payload")]);
      assert.deepEqual(
        said.map(([bytes]) => Buffer.from(bytes as Uint8Array).toString()),
        ["near", "far"],
      );
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      assert.ok(nearBeats.active && farBeats.active);
      assert.ok((nearBeats.roundTrip?.samples ?? 0) + (farBeats.roundTrip?.samples ?? 0) > 0);
      near.destroy();
      await once(farBeats, "end");
      await until(() => !nearBeats.active);
    });

  test("a peer whose kernel lives and whose program does not is unresponsive, and the guard says the same", async () => {
    const [near, far] = await pair("tcp");
    const frames = overFrames(near);
    // The far program has said hello, and then hangs.
    const other = overFrames(far, { accepted: true });
    const beats = heartbeat(frames, quick);
    const otherBeats = heartbeat(other, "normal");
    await once(beats, "answer");
    otherBeats.close();
    far.removeAllListeners("data");
    far.pause();
    const guarded = guard(near, { detectWithin: "1m" });
    const guardVerdict = once(guarded, "verdict") as Promise<[Verdict]>;
    const [verdict] = (await once(beats, "verdict")) as [Verdict];
    assert.equal(verdict.state, "unresponsive", verdict.sentence);
    assert.equal((await guardVerdict)[0].state, "unresponsive");
    assert.ok(near.destroyed);
  });

  test("a slow reader lives: as long as it takes what waits, beats may wait as well", async () => {
    const [near, far] = await pair("tcp");
    const frames = overFrames(near);
    const beats = heartbeat(frames, quick);
    // It answers once, then only reads a little now and then.
    const other = overFrames(far, { accepted: true });
    const otherBeats = heartbeat(other, "normal");
    await once(beats, "answer");
    otherBeats.close();
    far.removeAllListeners("data");
    far.pause();
    for (let n = 0; n < 64; n++) frames.send(Buffer.alloc(1 << 18));
    let read = 0;
    const reading = setInterval(() => {
      const chunk = far.read(1 << 16) as Buffer | null;
      read += chunk?.length ?? 0;
    }, 50);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    assert.ok(read > 0);
    assert.equal(beats.active, true, beats.verdict?.sentence ?? "");
    clearInterval(reading);
    await once(beats, "verdict");
  });
});

describe("deadpeer's own beats over datagrams", { timeout: 20_000 }, () => {
  test("between two sides that know of each other, until one of them is gone", async () => {
    const key = randomBytes(32);
    const id = randomBytes(16);
    const [near, far] = [createSocket("udp4"), createSocket("udp4")];
    for (const socket of [near, far]) {
      socket.bind(0, "127.0.0.1");
      await once(socket, "listening");
    }
    const farBeats = heartbeat(overDatagrams(far, { key, id, side: "server" }), quick);
    const nearBeats = heartbeat(
      overDatagrams(near, {
        key,
        id,
        side: "client",
        peer: { address: "127.0.0.1", port: far.address().port },
      }),
      quick,
      { payload: () => "near" },
    );
    const [said] = (await once(farBeats, "payload")) as [Uint8Array];
    assert.equal(Buffer.from(said).toString(), "near");
    await once(nearBeats, "answer");
    near.close();
    await until(() => !nearBeats.active);
    const [verdict] = (await once(farBeats, "verdict")) as [Verdict];
    assert.equal(verdict.timer, "heartbeat");
    far.close();
  });
});
