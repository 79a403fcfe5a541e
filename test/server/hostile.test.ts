import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { after, before, beforeEach, describe, test } from "node:test";
import { LongConnection } from "../../src/client/long-connection.js";
import { sealDatagram } from "../../src/heartbeat/protocol/datagram.js";
import { encode } from "../../src/heartbeat/protocol/encode.js";
import type { Beat, Bye, Message } from "../../src/heartbeat/protocol/message.js";
import { HeartbeatServer } from "../../src/server/heartbeat-server.js";
import type { Session } from "../../src/server/session.js";
import { until } from "../support/until.js";
import { plainHello, RawClient } from "./raw-client.js";

const beat = (number: number, more: Partial<Beat> = {}): Beat => ({
  type: "beat",
  number,
  sendEveryMs: 0,
  received: 0,
  payload: Buffer.alloc(0),
  ...more,
});

/** Sessions are parked as soon as they can be. */
const ways = [false, { after: "10ms" }] as const;

const data = (sequence: number): Message => ({ type: "data", sequence, payload: Buffer.of(sequence) });

/** What the server says in the end, once it has closed. */
async function bye(client: RawClient): Promise<string> {
  const message = (await client.next("bye")) as Bye | undefined;
  await client.ended;
  return message === undefined ? "no bye" : `${message.reason}: ${message.text}`;
}

for (const parking of ways)
  describe(`a server among strangers and clients that break the rules, parking ${JSON.stringify(parking)}`, {
    timeout: 60_000,
  }, () => {
    const key = randomBytes(32);
    const clients: RawClient[] = [];
    let server: HeartbeatServer;
    let port: number;
    let udpPort: number;
    let refused: string[] = [];

    before(async () => {
      server = new HeartbeatServer({
        parking,
        handshake: "300ms",
        maxSilence: "10m",
        beatsPerSecond: 50,
        maxPayload: 1_000,
      });
      ({ port } = await server.listen({ port: 0, host: "127.0.0.1" }));
      ({ port: udpPort } = await server.listenUdp({ port: 0, host: "127.0.0.1", key }));
      server.on("refused", (_, problem) => refused.push(problem));
    });
    beforeEach(() => {
      refused = [];
    });
    after(async () => {
      for (const { socket } of clients) socket.destroy();
      await server.close();
    });

    async function raw(): Promise<RawClient> {
      const client = await RawClient.connect(port);
      clients.push(client);
      return client;
    }

    for (const [what, bytes] of [
      ["a browser", Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
      ["TLS", Buffer.from("16030100c8010000c40303", "hex")],
      ["noise", randomBytes(500)],
      ["a hello with a length that no hello has", Buffer.from("01ffffff44504842", "hex")],
    ] as const)
      test(`${what} is cut off, and told about`, async () => {
        const client = await raw();
        client.socket.write(bytes);
        await client.ended;
        assert.equal(refused.length, 1);
        assert.deepEqual(client.heard, []);
      });

    test("a connection that says nothing, or half a hello, is closed in time", async () => {
      const silent = await raw();
      const half = await raw();
      half.socket.write(encode(plainHello).subarray(0, 20));
      const startedMs = performance.now();
      await Promise.all([silent.ended, half.ended]);
      assert.ok(performance.now() - startedMs >= 250);
      assert.deepEqual(refused, ["no hello within 300 ms", "no hello within 300 ms"]);
    });

    for (const [what, hello, expected] of [
      ["another version", { version: 9 }, "version: version 1 is spoken here"],
      [
        "an interval that nobody waits for",
        { sendEveryMs: 3_600_000 },
        "no-agreement: an interval of 3600000 ms is longer than 600000 ms",
      ],
      [
        "a deadline that cannot be held",
        { deadlineMs: 5 },
        "no-agreement: a deadline of 5 ms is less than 100 ms",
      ],
      [
        "a session that nobody knows",
        { session: randomBytes(16), token: randomBytes(32) },
        "unknown-session: no such session, or not yours",
      ],
      [
        "a new session with something received",
        { received: 3 },
        "protocol-error: a new session in which something was received",
      ],
    ] as const)
      test(`${what} is answered with a bye`, async () => {
        const client = await raw();
        client.say({ ...plainHello, ...hello });
        assert.equal(await bye(client), expected);
      });

    test("the token of another session does not resume this one", async () => {
      const mine = await raw();
      const other = await raw();
      const { session } = await mine.hello();
      const { token } = await other.hello();
      const thief = await raw();
      thief.say({ ...plainHello, session, token });
      assert.match(await bye(thief), /^unknown-session/);
      mine.say(beat(1));
      assert.equal((await mine.next("answer"))?.type, "answer", "the session is not touched");
    });

    test("the own token does, also while the old connection stands, which is told", async () => {
      const first = await raw();
      const { session, token } = await first.hello();
      const second = await raw();
      const again = await second.hello({ session, token });
      assert.deepEqual(again.session, session);
      assert.match(await bye(first), /^replaced/);
      second.say(beat(1));
      assert.equal((await second.next("answer"))?.type, "answer");
    });

    for (const [what, messages, expected] of [
      [
        "an acknowledgement of what was never sent",
        [{ type: "acknowledgement", received: 5 }],
        /^protocol-error: an acknowledgement of 5/,
      ],
      ["a beat that says so", [beat(1, { received: 2 ** 40 })], /^protocol-error: an acknowledgement of/],
      [
        "a gap in the data",
        [{ type: "data", sequence: 2, payload: Buffer.of(1) }],
        /^protocol-error: data with the sequence 2 after 0/,
      ],
      ["data with the sequence 0", [{ type: "data", sequence: 0, payload: Buffer.of(1) }], /^protocol-error/],
      [
        "a message that is too long for this server",
        [{ type: "data", sequence: 1, payload: Buffer.alloc(1_001) }],
        /^protocol-error: a message of 1001 bytes/,
      ],
      ["a second hello", [plainHello], /^protocol-error: a second hello/],
      ["an interval that becomes too long", [beat(1, { sendEveryMs: 3_600_000 })], /^no-agreement/],
    ] as [string, Message[], RegExp][])
      test(`${what} is answered with a bye`, async () => {
        const client = await raw();
        await client.hello();
        const offline = once(server, "offline") as Promise<[Session, { state: string }]>;
        client.say(...messages);
        assert.match(await bye(client), expected);
        const [session, { state }] = await offline;
        assert.equal(state, "evicted");
        assert.equal(session.state, "away");
      });

    test("data that was seen is dropped, and acknowledged again", async () => {
      const client = await raw();
      const seen: number[] = [];
      const onData = (_: Session, __: Uint8Array, sequence: number): number => seen.push(sequence);
      server.on("data", onData);
      await client.hello();
      client.say(data(1), data(2), data(1), data(2), data(3));
      await until(() => seen.length >= 3);
      client.say(beat(1));
      const answer = (await client.next("answer")) as Beat;
      assert.deepEqual(seen, [1, 2, 3]);
      assert.equal(answer.received, 3);
      server.off("data", onData);
    });

    test("a flood of beats is answered at a bounded rate, then told and closed", async () => {
      const client = await raw();
      await client.hello();
      const flood = Buffer.concat(Array.from({ length: 1_000 }, (_, n) => encode(beat(n + 1))));
      client.socket.write(flood);
      assert.equal(await bye(client), "too-many-beats: too many beats");
      const answers = client.heard.filter(({ type }) => type === "answer").length;
      assert.ok(answers >= 40 && answers <= 100, `${answers} answers`);
    });

    test("the same, one beat at a time", async () => {
      const client = await raw();
      await client.hello();
      for (let n = 1; !client.socket.destroyed && n < 5_000; n++) {
        client.say(beat(n));
        await new Promise(setImmediate);
      }
      assert.equal(await bye(client), "too-many-beats: too many beats");
    });

    test("beats at the pace that is allowed go on for ever", async () => {
      const client = await raw();
      await client.hello();
      for (let n = 1; n <= 60; n++) {
        client.say(beat(n));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await until(() => client.heard.filter(({ type }) => type === "answer").length === 60);
      const answers = client.heard.filter(({ type }) => type === "answer") as Beat[];
      assert.deepEqual(
        answers.map(({ number }) => number),
        Array.from({ length: 60 }, (_, n) => n + 1),
      );
    });

    test("garbage after the hello ends the connection, not the session", async () => {
      const client = await raw();
      await client.hello();
      const count = server.sessionCount;
      client.socket.write(Buffer.from("05000001ff", "hex"));
      assert.match(await bye(client), /^protocol-error/);
      assert.equal(server.sessionCount, count);
    });

    test("datagrams that are forged, replayed or turned round change nothing", async () => {
      const connection = new LongConnection({ to: `udp://127.0.0.1:${udpPort}`, key, detect: "normal" });
      const [session] = (await once(server, "session")) as [Session];
      const stranger = createSocket("udp4");
      const answers: Buffer[] = [];
      stranger.on("message", (datagram) => answers.push(datagram));
      const send = (datagram: Buffer): Promise<unknown> =>
        new Promise((resolve) => stranger.send(datagram, udpPort, "127.0.0.1", resolve));
      const id = Buffer.from(session.id, "hex");
      const goodbye = encode({ type: "bye", reason: "done", text: "" });
      const silentBefore = session.remote;
      for (const forgedKey of [randomBytes(32), key])
        for (const sequence of [1, 2, 1_000])
          await send(sealDatagram(forgedKey, { direction: "from-client", id, sequence }, goodbye));
      await send(sealDatagram(key, { direction: "from-server", id, sequence: 1 }, goodbye));
      for (const bytes of [Buffer.alloc(0), Buffer.alloc(10), randomBytes(90), Buffer.alloc(2_000, 1)])
        await send(bytes);
      connection.send("still here");
      await once(server, "data");
      assert.equal(session.state, "present");
      assert.deepEqual(session.remote, silentBefore);
      assert.deepEqual(answers, []);
      stranger.close();
      const ended = once(server, "end");
      await connection.close();
      await ended;
    });

    test("a recorded hello, sent again, makes no session and ends none", async () => {
      const hello = sealDatagram(
        key,
        { direction: "from-client", id: randomBytes(16), sequence: 1 },
        encode({ ...plainHello }),
      );
      const before = server.sessionCount;
      const socket = createSocket("udp4");
      const heard: Buffer[] = [];
      socket.on("message", (datagram) => heard.push(datagram));
      for (let n = 0; n < 5; n++) socket.send(hello, udpPort, "127.0.0.1");
      await until(() => heard.length >= 5);
      assert.ok(
        heard.every((datagram) => datagram.equals(heard[0] as Buffer)),
        "the same answer each time",
      );
      assert.equal(server.sessionCount, before);
      socket.close();
    });
  });

for (const parking of ways)
  describe(`a server that is full, parking ${JSON.stringify(parking)}`, { timeout: 20_000 }, () => {
    test("says so to new sessions, and lets old ones come back", async () => {
      await using server = new HeartbeatServer({ maxSessions: 2, parking });
      const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
      const first = await RawClient.connect(port);
      const { session, token } = await first.hello();
      const second = await RawClient.connect(port);
      await second.hello();
      const third = await RawClient.connect(port);
      third.say(plainHello);
      assert.equal(((await third.next("bye")) as Bye).text, "2 sessions are here already");
      first.socket.destroy();
      await once(server, "offline");
      const again = await RawClient.connect(port);
      assert.deepEqual((await again.hello({ session, token })).session, session);
      for (const { socket } of [second, third, again]) socket.destroy();
    });
  });
