import assert from "node:assert/strict";
import { test } from "node:test";
import { LongConnection } from "../../src/client/long-connection.js";
import type { LongConnectionOptions } from "../../src/client/options.js";

const key = new Uint8Array(32);
const to = "tcp://127.0.0.1:1";

/** What is wrong with options is told to whoever gives them, not thrown when the connection is made. */
for (const [what, options, code, message] of [
  ["no address", {}, "bad-address", /are not the address of a server/],
  ["no addresses", { to: [] }, "bad-address", /no address of a server was given/],
  [
    "a port that is none",
    { to: { transport: "tcp", host: "hub.example", port: 99_999 } },
    "bad-address",
    /99999 are not the address/,
  ],
  [
    "a transport that is none",
    { to: { transport: "http", host: "hub.example", port: 80 } },
    "bad-address",
    /"http"/,
  ],
  [
    "certificates for a plain connection",
    { to, tls: { servername: "hub.example" } },
    "bad-option",
    /none of the addresses is tls:/,
  ],
  [
    "certificates that are none",
    { to: "tls://127.0.0.1:1", tls: { minVersion: "nope" } },
    "bad-option",
    /^tls: "nope"/,
  ],
  ["two keys", { to: "udp://127.0.0.1:1", key, greetAt: to }, "bad-option", /give one/],
  [
    "a ceiling below the floor",
    { to, adaptive: { floor: "10m", ceiling: "1m" } },
    "bad-option",
    /below the floor/,
  ],
  ["a floor of nothing", { to, adaptive: { floor: 0, ceiling: "1m" } }, "bad-option", /^floor: 0/],
  [
    "a ceiling that cannot be said",
    { to, adaptive: { floor: "1m", ceiling: "60d" } },
    "bad-option",
    /can be told a peer/,
  ],
  [
    "a silence that cannot be said",
    { to, detect: { idle: "60d", interval: "1s", count: 3 } },
    "bad-option",
    /more than 4294967295 ms/,
  ],
  ["no time to connect", { to, connectTimeout: 0 }, "bad-option", /^connectTimeout: 0/],
] as const)
  test(`${what} is refused at once`, () => {
    assert.throws(() => new LongConnection(options as LongConnectionOptions), { code, message });
  });

for (const [what, payload] of [
  ["an object", { a: 1 }],
  ["nothing", undefined],
  ["an ArrayBuffer", new ArrayBuffer(4)],
  ["16-bit words", new Uint16Array(4)],
] as const)
  test(`${what} is no message`, () => {
    const connection = new LongConnection({ to, watchNetwork: false });
    assert.throws(() => connection.send(payload as unknown as string), {
      code: "bad-option",
      message: /text or bytes/,
    });
    assert.equal(connection.queued, 0);
    connection.leave();
  });
