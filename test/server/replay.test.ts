import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { describe, test } from "node:test";
import { LongConnection } from "../../src/client/index.js";
import {
  connectionKey,
  messageIn,
  readEnvelope,
  sealDatagram,
} from "../../src/heartbeat/protocol/datagram.js";
import { encode } from "../../src/heartbeat/protocol/encode.js";
import type { Hello } from "../../src/heartbeat/protocol/message.js";
import { HeartbeatServer, type Session } from "../../src/server/index.js";
import { until } from "../support/until.js";
import { plainHello } from "./raw-client.js";

const detect = { idle: "200ms", interval: "100ms", count: 3 };

async function bound(): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

/** Somebody on the path: passes on what he sees, keeps it, and can send it again. */
class Eavesdropper {
  readonly fromClient: Buffer[] = [];
  readonly fromServer: Buffer[] = [];
  /** Nothing passes any more. */
  cut = false;
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #port: number;
  #client = 0;

  private constructor(near: Socket, far: Socket, port: number) {
    this.#near = near;
    this.#far = far;
    this.#port = port;
    near.on("message", (datagram, { port: client }) => {
      this.#client = client;
      this.fromClient.push(datagram);
      if (!this.cut) this.toServer(datagram);
    });
    far.on("message", (datagram) => {
      this.fromServer.push(datagram);
      if (!this.cut) this.toClient(datagram);
    });
  }

  static async before(port: number): Promise<Eavesdropper> {
    return new Eavesdropper(await bound(), await bound(), port);
  }

  get port(): number {
    return this.#near.address().port;
  }

  toServer(datagram: Buffer): void {
    this.#far.send(datagram, this.#port, "127.0.0.1");
  }

  toClient(datagram: Buffer): void {
    this.#near.send(datagram, this.#client, "127.0.0.1");
  }

  close(): void {
    this.#near.close();
    this.#far.close();
  }
}

describe("datagrams that somebody on the path has recorded", { timeout: 30_000 }, () => {
  for (const way of ["a configured key", "a key from tcp"] as const)
    test(`${way}: sent again, changed or turned round they bring nothing about, and keep nobody alive`, async () => {
      await using server = new HeartbeatServer({ detect, grace: "1m" });
      const key = randomBytes(32);
      const where = { port: 0, host: "127.0.0.1" };
      const { port } = await server.listenUdp({ ...where, key });
      const { port: tcp } = await server.listen(where);
      const path = await Eavesdropper.before(port);
      const connection = new LongConnection({
        to: `udp://127.0.0.1:${path.port}`,
        ...(way === "a configured key" ? { key } : { greetAt: `tcp://127.0.0.1:${tcp}` }),
        detect,
        backoff: { first: "10h", most: "10h" },
      });
      const heard: string[] = [];
      server.on("data", (session, payload) => {
        heard.push(`server ${String(payload)}`);
        if (heard.length === 1) session.send("answer");
      });
      connection.on("data", (payload) => heard.push(`client ${String(payload)}`));
      const [session] = (await once(server, "session")) as [Session];
      connection.send("question");
      await until(() => heard.length === 2 && connection.queued === 0 && session.queued === 0);

      // All of it again, from the same place and another, each bit of one changed, and in the wrong direction.
      const stranger = await bound();
      const { remote } = session;
      const count = server.sessionCount;
      for (const datagram of path.fromClient) {
        path.toServer(datagram);
        stranger.send(datagram, port, "127.0.0.1");
      }
      for (const datagram of path.fromServer) {
        path.toClient(datagram);
        path.toServer(datagram);
      }
      const [sample = Buffer.alloc(0)] = path.fromClient.slice(-1);
      for (let bit = 0; bit < sample.length * 8; bit++) {
        const changed = Buffer.from(sample);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        stranger.send(changed, port, "127.0.0.1");
      }
      connection.send("still here");
      await until(() => heard.length === 3);
      assert.deepEqual(heard, ["server question", "client answer", "server still here"]);
      assert.deepEqual([session.state, session.remote, server.sessionCount], ["present", remote, count]);

      // The client is cut off: what was recorded does not stand for it.
      const offline = Promise.all([once(server, "offline"), once(connection, "offline")]);
      path.cut = true;
      const replaying = setInterval(() => {
        for (const datagram of path.fromClient.slice(0, 20)) stranger.send(datagram, port, "127.0.0.1");
        for (const datagram of path.fromServer.slice(0, 20)) path.toClient(datagram);
      }, 20);
      const beganMs = performance.now();
      await offline;
      assert.ok(performance.now() - beganMs < 3_000, `${performance.now() - beganMs} ms`);
      // Nor does it bring it back, or end what waits for it.
      await new Promise((resolve) => setTimeout(resolve, 200));
      clearInterval(replaying);
      assert.equal(session.state, "away");
      await connection.close({ withinMs: 0 });
      stranger.close();
      path.close();
    });
});

test("a recorded hello between a client's hello and its first datagram does not keep it out", {
  timeout: 20_000,
}, async () => {
  const key = randomBytes(32);
  await using server = new HeartbeatServer();
  const { port } = await server.listenUdp({ port: 0, host: "127.0.0.1", key });
  const socket = await bound();
  const say = async (drawn: Buffer, more: Partial<Hello> = {}): Promise<Hello> => {
    const heard = once(socket, "message") as Promise<[Buffer]>;
    const frame = encode({ ...plainHello, ...more });
    socket.send(
      sealDatagram(key, { direction: "from-client", id: drawn, sequence: 1 }, frame),
      port,
      "127.0.0.1",
    );
    const [datagram] = await heard;
    assert.deepEqual(readEnvelope(datagram)?.id, drawn);
    return messageIn(datagram) as Hello;
  };
  /** The first datagram under the key of a connection. */
  const follow = (drawn: Buffer, hello: Hello): void => {
    const own = connectionKey(key, { client: drawn, server: hello.key });
    const frame = encode({ type: "beat", number: 1, sendEveryMs: 0, received: 0, payload: Buffer.alloc(0) });
    const id = Buffer.from(hello.session as Uint8Array);
    socket.send(sealDatagram(own, { direction: "from-client", id, sequence: 1 }, frame), port, "127.0.0.1");
  };
  const first = randomBytes(16);
  const hello = await say(first);
  const began = once(server, "session");
  follow(first, hello);
  await began;
  const names = { session: Buffer.from(hello.session as Uint8Array), token: Buffer.from(hello.token) };
  await once(socket, "message");
  const mine = randomBytes(16);
  const answered = await say(mine, names);
  await say(randomBytes(16), names);
  const resumed = once(server, "resumed");
  follow(mine, answered);
  await resumed;
  socket.close();
});
