import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DeadpeerError } from "../../../src/errors.js";
import { findingsOf } from "../../../src/http/measure/findings.js";
import type { HttpMeasured } from "../../../src/http/measure/measurement.js";
import { safeSettings } from "../../../src/http/measure/safe-settings.js";
import { answer, idleTimer, type RawConnection, rawServer } from "../raw-server.js";
import { measure } from "./measure.js";

function codesOf(measured: HttpMeasured): string[] {
  return findingsOf(measured).map(({ code }) => code);
}

/** Closes in time where the request asks for it, so that nothing is found in that. */
function honouringClose({ socket, head }: RawConnection, text: string): void {
  if (/connection: close|HTTP\/1\.0/i.test(head)) socket.end(text);
  else socket.write(text);
}

/** Patient, for machines with much else to do. */
const quick = { maxMs: 4_000, patienceMs: 20_000, connections: 10 };
/** Where it is to run out. */
const impatient = { ...quick, patienceMs: 3_000 };

describe("a server that", { concurrency: 4 }, () => {
  for (const host of ["127.0.0.1", "::1"])
    test(`advertises 5 s and closes after 3 s is found, at ${host}`, async () => {
      await using server = await rawServer(
        (request) => {
          honouringClose(request, answer("Keep-Alive: timeout=5, max=100"));
          idleTimer(request.socket, 3_000, () => request.socket.end());
        },
        { host },
      );
      const measured = await measure(server.url, { maxMs: 10_000 });
      const { idle, look } = measured;
      assert.deepEqual(look.hint, { timeoutMs: 5_000, max: 100, problems: [] });
      assert.ok(idle !== null && idle.highMs !== null);
      assert.ok(Math.abs(idle.lowMs - 3_000) <= 300 && idle.highMs <= 4_500, `${idle.lowMs} ${idle.highMs}`);
      assert.deepEqual(codesOf(measured).slice(0, 1), ["advertises-more-than-it-keeps"]);
      const { clientIdleMs } = safeSettings(measured);
      assert.ok(clientIdleMs !== null && clientIdleMs > 1_500 && clientIdleMs < 2_500, `${clientIdleMs}`);
    });

  test("advertises less than it keeps leaves no race", async () => {
    await using server = await rawServer((request) => {
      honouringClose(request, answer("Keep-Alive: timeout=1"));
      idleTimer(request.socket, 2_000, () => request.socket.end());
    });
    const measured = await measure(server.url, quick);
    assert.deepEqual(codesOf(measured), []);
    assert.equal(measured.idle?.by, "fin");
  });

  test("resets idle connections", async () => {
    await using server = await rawServer((request) => {
      honouringClose(request, answer());
      idleTimer(request.socket, 1_000, () => request.socket.resetAndDestroy());
    });
    // One that waits, and one that speaks long before: a request that meets the reset would be reset too.
    const measured = await measure(server.url, { ...quick, connections: 2 });
    assert.equal(measured.idle?.by, "rst");
    assert.deepEqual(codesOf(measured), ["closes-with-rst"]);
    assert.ok(Math.abs((measured.idle?.lowMs ?? 0) - 1_000) <= 500);
  });

  for (const [how, late, code] of [
    ["lost", () => {}, "forgets-silently"],
    ["reset", ({ socket }: RawConnection) => socket.resetAndDestroy(), "refuses-late-requests"],
    ["closed", ({ socket }: RawConnection) => socket.end(), "refuses-late-requests"],
  ] as const)
    test(`never closes, but has late requests ${how}`, async () => {
      const lastMs = new WeakMap<object, number>();
      await using server = await rawServer((request) => {
        const nowMs = performance.now();
        const sinceMs = lastMs.get(request.socket) ?? nowMs;
        lastMs.set(request.socket, nowMs);
        if (nowMs - sinceMs > 1_500) late(request);
        else honouringClose(request, answer());
      });
      const measured = await measure(server.url, { ...impatient, precisionMs: 200 });
      const { idle } = measured;
      assert.equal(idle?.by, how);
      assert.ok(idle !== null && idle.highMs !== null);
      // Wide, for the server's clock is this busy process's own.
      assert.ok(idle.lowMs > 500 && idle.lowMs <= 1_700, `${idle.lowMs} ${idle.highMs}`);
      assert.ok(idle.highMs > 800 && idle.highMs < 2_500, `${idle.lowMs} ${idle.highMs}`);
      assert.deepEqual(codesOf(measured), [code]);
    });

  test("keeps connections for longer than is tried", async () => {
    await using server = await rawServer((request) => honouringClose(request, answer()));
    const measured = await measure(server.url, { ...quick, maxMs: 1_500 });
    assert.equal(measured.idle?.highMs, null);
    assert.ok((measured.idle?.lowMs ?? 0) >= 1_500);
    assert.deepEqual(codesOf(measured), []);
    assert.deepEqual(safeSettings(measured), { clientIdleMs: null, requestsPerConnection: null });
  });

  for (const [what, text, code, reason] of [
    ["answers without a length", "HTTP/1.1 200 OK\r\n\r\nhello", "no-keep-alive", /without a length/],
    [
      "ends in the middle of its body",
      "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
      "truncated-answer",
      /after 5 bytes/,
    ],
    [
      "ends in the middle of a chunk",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello",
      "truncated-answer",
      /after 5 bytes/,
    ],
    ["says close", answer("Connection: close"), "no-keep-alive", /answers "Connection: close"/],
    [
      "speaks HTTP/1.0",
      "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
      "no-keep-alive",
      /speaks HTTP\/1\.0 and does not offer/,
    ],
    ["closes without a word", answer(), "no-keep-alive", /does not say so/],
  ] as const)
    test(what, async () => {
      await using server = await rawServer(({ socket }) => socket.end(text));
      const measured = await measure(server.url, quick);
      assert.ok(measured.look.whyNot !== null);
      assert.equal(measured.idle, null);
      const found = findingsOf(measured);
      assert.equal(found[0]?.code, code);
      assert.match(found.map(({ message }) => message).join(" "), reason);
      assert.ok(codesOf(measured).includes("no-keep-alive"));
      assert.equal(safeSettings(measured).clientIdleMs, 0);
    });

  test("pipelines wrongly: two answers to one request", async () => {
    await using server = await rawServer(({ socket }) => socket.write(answer() + answer()));
    const measured = await measure(server.url, quick);
    assert.deepEqual(codesOf(measured).slice(0, 2), ["unasked-bytes", "no-keep-alive"]);
  });

  test("sends 100 Continue unasked, and keeps the connection", async () => {
    await using server = await rawServer((request) =>
      honouringClose(request, `HTTP/1.1 100 Continue\r\n\r\n${answer()}`),
    );
    const measured = await measure(server.url, { ...quick, maxMs: 1_000 });
    assert.equal(measured.look.whyNot, null);
    assert.equal(measured.look.answer.interim, 1);
  });

  test("keeps connections over HTTP/1.0 when asked to", async () => {
    await using server = await rawServer(({ socket, head }) => {
      const keep = /connection: keep-alive/i.test(head);
      const text = `HTTP/1.0 200 OK\r\nContent-Length: 2\r\n${keep ? "Connection: keep-alive\r\n" : ""}\r\nok`;
      if (keep) socket.write(text);
      else socket.end(text);
    });
    const measured = await measure(server.url, { ...quick, maxMs: 1_000 });
    assert.equal(measured.look.protocol, "HTTP/1.0");
    assert.equal(measured.look.whyNot, null);
    assert.deepEqual(measured.connectionHeader, {
      closeHonoured: true,
      http10Closes: true,
      http10KeepAlive: true,
    });
  });

  test("writes nonsense into its Keep-Alive header", async () => {
    await using server = await rawServer((request) =>
      honouringClose(request, answer("Keep-Alive: timeout=99999999999, max=-1")),
    );
    const measured = await measure(server.url, { ...quick, maxMs: 1_000 });
    assert.deepEqual(codesOf(measured), ["malformed-keep-alive", "malformed-keep-alive"]);
    assert.match(findingsOf(measured)[0]?.message ?? "", /"timeout=99999999999" is absurd/);
  });

  test("does not honour close", async () => {
    await using server = await rawServer(({ socket }) => socket.write(answer()));
    const measured = await measure(server.url, { ...quick, maxMs: 1_000 });
    assert.deepEqual(codesOf(measured), ["close-not-honoured"]);
  });

  for (const announced of [true, false])
    test(`takes three requests on a connection, ${announced ? "and says so" : "and does not say so"}`, async () => {
      await using server = await rawServer((request) => {
        const last = request.nth === 3;
        const headers = [
          "Keep-Alive: timeout=60, max=9",
          ...(last && announced ? ["Connection: close"] : []),
        ];
        if (last) request.socket.end(answer(...headers));
        else honouringClose(request, answer(...headers));
      });
      const measured = await measure(server.url, { ...quick, maxMs: 6_000, requests: 10 });
      assert.deepEqual(measured.requests, { limit: 3, answered: 3, announced, silent: false });
      const expected = ["fewer-requests-than-advertised", ...(announced ? [] : ["closes-unannounced"])];
      assert.deepEqual(codesOf(measured), expected);
      assert.equal(safeSettings(measured).requestsPerConnection, announced ? null : 3);
    });

  test("hangs after three requests on a connection", async () => {
    await using server = await rawServer((request) => {
      if (request.nth <= 3) honouringClose(request, answer());
    });
    const measured = await measure(server.url, { ...impatient, maxMs: 2_000, requests: 10 });
    assert.deepEqual(measured.requests, { limit: 3, answered: 3, announced: false, silent: true });
    assert.match(findingsOf(measured)[0]?.message ?? "", /answered 3 on a connection, .* hangs/);
  });

  test("hangs on the connection that is to keep it awake does not prolong the measurement", async () => {
    await using server = await rawServer((request) => {
      // The others send three requests at most.
      if (request.nth <= 5) honouringClose(request, answer());
      idleTimer(request.socket, 1_500, () => request.nth <= 5 && request.socket.end());
    });
    const beganMs = performance.now();
    await measure(server.url, { ...quick, samples: 0, patienceMs: 60_000 });
    assert.ok(performance.now() - beganMs < 30_000);
  });

  test("has no room for the connection whose requests are counted: nothing is said about them", async () => {
    let counted = false;
    await using server = await rawServer(
      (request) => honouringClose(request, answer()),
      // The first look has had the first, the idle connections have not begun yet.
      { onConnection: (socket) => void (counted ? socket.destroy() : (counted = true)) },
    );
    const measured = await measure(server.url, { ...quick, maxMs: 1_000, samples: 0, requests: 10 });
    assert.equal(measured.requests, null);
    assert.ok(!codesOf(measured).includes("closes-unannounced"));
  });

  test("has room for few connections is measured with those", async () => {
    let open = 0;
    await using server = await rawServer(
      (request) => {
        honouringClose(request, answer());
        idleTimer(request.socket, 1_000, () => request.socket.end());
      },
      {
        onConnection: (socket) => {
          if (++open > 6) socket.destroy();
          socket.on("close", () => open--);
        },
      },
    );
    const measured = await measure(server.url, { ...quick, connections: 20 });
    assert.ok(Math.abs((measured.idle?.lowMs ?? 0) - 1_000) <= 500, `${measured.idle?.lowMs}`);
  });

  test("closes some connections and not others", async () => {
    await using server = await rawServer((request) => {
      honouringClose(request, answer());
      if (server.connections % 2 === 0) idleTimer(request.socket, 500, () => request.socket.end());
    });
    const measured = await measure(server.url, { ...quick, maxMs: 60_000 });
    assert.ok(codesOf(measured).includes("idle-varies"), codesOf(measured).join());
  });
});

describe("refused in one line is a server that", { concurrency: 4 }, () => {
  for (const [what, onRequest, code, message] of [
    [
      "resets at once",
      ({ socket }) => socket.resetAndDestroy(),
      "cannot-connect",
      /resets the connection instead/,
    ],
    ["closes at once", ({ socket }) => socket.end(), "cannot-connect", /closes the connection instead/],
    ["never answers", () => {}, "cannot-connect", /answers nothing within 3s; --timeout waits longer/],
    [
      "never ends its answer",
      ({ socket }) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
      "cannot-connect",
      /its answer does not end within 3s/,
    ],
    [
      "speaks something else",
      ({ socket }) => socket.write("220 mail ESMTP\r\n"),
      "http-protocol",
      /the server's answer is not HTTP, but begins with "220 mail ESMTP"$/,
    ],
  ] as const satisfies readonly (readonly [string, (request: RawConnection) => void, string, RegExp])[])
    test(what, async () => {
      await using server = await rawServer(onRequest);
      await assert.rejects(
        measure(server.url, impatient),
        (error) => error instanceof DeadpeerError && error.code === code && message.test(error.message),
      );
    });

  test("speaks first, as one of SSH does", async () => {
    await using server = await rawServer(() => {}, {
      onConnection: (socket) => socket.write("SSH-2.0-OpenSSH_9.2\r\n"),
    });
    // Whether its greeting comes before our request or after it.
    for (let turn = 0; turn < 5; turn++)
      await assert.rejects(
        measure(server.url, { ...quick, patienceMs: 60_000 }),
        (error) =>
          error instanceof DeadpeerError &&
          error.code === "http-protocol" &&
          error.message.endsWith('is not HTTP, but begins with "SSH-2.0-OpenSSH_9.2"'),
      );
  });
});

describe("redirects", () => {
  test("are told, not followed", async () => {
    await using server = await rawServer((request) =>
      honouringClose(request, "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"),
    );
    const { look } = await measure(server.url, { ...quick, maxMs: 1_000 });
    assert.equal(look.location, `${server.url}there`);
    assert.equal(look.answer.status, 302);
  });

  test("are followed when asked to, and headers stay with their host", async () => {
    const seen: string[] = [];
    await using there = await rawServer((request) => {
      seen.push(request.head);
      // On to itself, which is no longer where they were given for.
      if (request.head.startsWith("GET /x "))
        honouringClose(request, "HTTP/1.1 301 Moved\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n");
      else honouringClose(request, answer());
    });
    await using server = await rawServer((request) =>
      honouringClose(request, `HTTP/1.1 301 Moved\r\nLocation: ${there.url}x\r\nContent-Length: 0\r\n\r\n`),
    );
    const options = { ...quick, maxMs: 1_000, follow: true, headers: [["Authorization", "secret"]] } as const;
    const { target, look } = await measure(server.url, options);
    assert.equal(target.url, `${there.url}y`);
    assert.equal(look.answer.status, 200);
    assert.ok(seen.length > 0 && seen.every((head) => !head.includes("secret")));
  });

  test("that lead out of HTTP are told as such, and passwords in them are not", async () => {
    let location = "ftp://files.example/";
    await using server = await rawServer((request) =>
      honouringClose(request, `HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`),
    );
    await assert.rejects(
      measure(server.url, { ...quick, follow: true }),
      (error) =>
        error instanceof DeadpeerError &&
        error.code === "http-protocol" &&
        error.message === `${server.url} redirects to ftp://files.example/, which is not measured`,
    );
    location = "http://user:secret@files.example/";
    const { look } = await measure(server.url, { ...quick, maxMs: 1_000 });
    assert.equal(look.location, "http://files.example/");
  });

  test("that go round are given up", async () => {
    await using server = await rawServer((request) =>
      honouringClose(request, "HTTP/1.1 307 Again\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
    );
    await assert.rejects(measure(server.url, { ...quick, follow: true }), /redirects more than 10 times/);
  });
});

test("what is known when it is interrupted is the result", async () => {
  await using server = await rawServer((request) => honouringClose(request, answer()));
  const controller = new AbortController();
  const interruption = setTimeout(() => controller.abort(), 1_500);
  const measured = await measure(server.url, {
    ...quick,
    maxMs: 600_000,
    connections: 60,
    signal: controller.signal,
  });
  clearTimeout(interruption);
  assert.equal(measured.problem?.code, "aborted");
  assert.ok(measured.idle !== null && measured.idle.highMs === null);
  assert.ok(measured.idle.lowMs >= 250, `${measured.idle.lowMs}`);
  const aborted = new AbortController();
  aborted.abort();
  await assert.rejects(
    measure(server.url, { signal: aborted.signal }),
    (error) => error instanceof DeadpeerError && error.code === "aborted",
  );
});

test("an interruption does not wait for a server that does not answer", async () => {
  await using server = await rawServer(() => {});
  const controller = new AbortController();
  const beganMs = performance.now();
  setTimeout(() => controller.abort(), 200);
  await assert.rejects(
    measure(server.url, { patienceMs: 60_000, signal: controller.signal }),
    (error) => error instanceof DeadpeerError && error.code === "aborted",
  );
  assert.ok(performance.now() - beganMs < 30_000);
});

test("a name that does not exist, and a port where nobody listens", async () => {
  await assert.rejects(measure("http://nowhere.invalid/"), /nowhere\.invalid has no address: /);
  await assert.rejects(measure("http://127.0.0.1:1/"), /127\.0\.0\.1:1 refuses the connection/);
});
