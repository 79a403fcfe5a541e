import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Agent } from "undici";
import { settingsLines } from "../../src/cli/http/client-lines.js";
import { httpReport } from "../../src/cli/http/report.js";
import type { FirstLook } from "../../src/http/measure/first-look.js";
import type { HttpMeasured } from "../../src/http/measure/measurement.js";
import { Server } from "../../src/http/measure/server.js";
import { readTarget } from "../../src/http/measure/target.js";
import { DeadpeerError } from "../../src/errors.js";
import { answer, idleTimer, rawServer } from "../http/raw-server.js";
import { checkout, cli } from "../support/checkout.js";

interface Run {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param said called with what it says on stderr. */
async function deadpeer(
  args: readonly string[],
  said?: (stderr: string, interrupt: () => void) => void,
): Promise<Run> {
  const child = spawn(process.execPath, [cli, ...args]);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text: Buffer) => (stdout += text.toString()));
  child.stderr.on("data", (text: Buffer) => {
    stderr += text.toString();
    said?.(stderr, () => child.kill("SIGINT"));
  });
  const [status, signal] = (await once(child, "close")) as [number | null, string | null];
  return { status, signal, stdout, stderr };
}

describe("http refuses in one line", { concurrency: 2 }, () => {
  for (const [args, complaint] of [
    [
      ["ftp://a.example"],
      /^deadpeer: "ftp:\/\/a\.example" has the scheme ftp, which is not measured; write http/,
    ],
    [["http://"], /^deadpeer: "http:\/\/" is no URL; /],
    [["http://a.example:99999"], /is no URL/],
    [["http://u:p@a.example"], /^deadpeer: a user and password in the URL would be printed/],
    [["http://nowhere.invalid/"], /^deadpeer: nowhere\.invalid has no address: /],
    [["127.0.0.1:1"], /^deadpeer: 127\.0\.0\.1:1 refuses the connection: /],
    [["localhost", "-4", "-6"], /^deadpeer: --ipv4 and --ipv6 exclude one another/],
    [["localhost", "--max", "10"], /^deadpeer: --max: "10" has no unit/],
    [["localhost", "--max", "0"], /^deadpeer: --max 0 is too short; give 1s or more/],
    [["localhost", "--max", "30d"], /^deadpeer: --max 30d is too long; give 24d or less/],
    [["localhost", "--connections", "1"], /^deadpeer: --connections 1: 2 to 256 are allowed/],
    [["localhost", "--requests", "-1"], /^deadpeer: --requests: "-1" is not a whole number/],
    [
      ["localhost", "--header", "no colon"],
      /^deadpeer: --header "no colon" is no header; write 'Name: value'/,
    ],
    [["localhost", "--header", "A: b\r\nC: d"], /^deadpeer: --header .* is no header/],
    [["localhost", "--header", "Connection: close"], /^deadpeer: --header Connection: /],
    [["localhost", "--header", "Content-Length: 5"], /^deadpeer: --header Content-Length: no body is sent/],
    [["localhost", "--ca", "/nowhere.pem"], /^deadpeer: --ca \/nowhere\.pem cannot be read: ENOENT/],
    [["localhost", "--check", "race-windw"], /no finding "race-windw"; did you mean race-window\?/],
  ] as const)
    test(args.join(" "), async () => {
      const { status, stdout, stderr } = await deadpeer(["http", ...args]);
      assert.equal(status, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, complaint);
      assert.equal(stderr.split("\n").length, 2, stderr);
    });
});

test("http --json --check: a server that advertises more than it keeps", async () => {
  await using server = await rawServer(({ socket, head }) => {
    const text = answer("Keep-Alive: timeout=5, max=3");
    if (/connection: close|HTTP\/1\.0/i.test(head)) socket.end(text);
    else socket.write(text);
    idleTimer(socket, 1_500, () => socket.end());
  });
  const args = ["http", server.url, "--max", "5s", "--requests", "5", "--samples", "2", "--json"];
  const [checked, passed] = await Promise.all([
    deadpeer([...args, "--check"]),
    deadpeer([...args, "--check", "closes-with-rst,no-keep-alive"]),
  ]);
  assert.equal(passed.status, 0, passed.stderr);
  const { status, stdout, stderr } = checked;
  assert.equal(status, 1, stderr);
  assert.match(
    stderr,
    /^deadpeer: measuring up to 5s against 127\.0\.0\.1:\d+, HTTP\/1\.1; Ctrl-C ends it and reports$/m,
  );
  const json = JSON.parse(stdout) as Record<string, unknown>;
  const { url, persistent, protocol, advertised, measured, handshake, findings, recommend } = json;
  assert.deepEqual(
    { url, persistent, protocol, advertised },
    {
      url: server.url,
      persistent: true,
      protocol: "HTTP/1.1",
      advertised: { timeoutMs: 5_000, max: 3 },
    },
  );
  const { idleTimeoutMs, requestsPerConnection, closedBy } = measured as {
    idleTimeoutMs: [number, number];
    requestsPerConnection: null;
    closedBy: string;
  };
  assert.ok(Math.abs(idleTimeoutMs[0] - 1_500) <= 300 && idleTimeoutMs[1] >= idleTimeoutMs[0]);
  assert.equal(requestsPerConnection, null);
  assert.equal(closedBy, "fin");
  const { newMs, reusedMs } = handshake as { newMs: number; reusedMs: number };
  assert.ok(newMs > 0 && reusedMs > 0);
  assert.equal((findings as { code: string }[])[0]?.code, "advertises-more-than-it-keeps");
  const { clientIdleMs, settings } = recommend as { clientIdleMs: number; settings: { nginx: string } };
  assert.ok(clientIdleMs > 500 && clientIdleMs < 1_500);
  assert.match(settings.nginx, /^upstream: keepalive_timeout /);
});

test("http that is interrupted prints what is known, and ends by the signal", async () => {
  await using server = await rawServer(({ socket }) => socket.write(answer()));
  const args = ["http", server.url, "--max", "10m", "--json", "--requests", "0", "--samples", "0"];
  let sent = false;
  const { signal, stdout, stderr } = await deadpeer(args, (said, interrupt) => {
    if (sent || !said.includes("Ctrl-C ends it")) return;
    sent = true;
    setTimeout(interrupt, 1_000);
  });
  assert.equal(signal, "SIGINT");
  assert.match(stderr, /^deadpeer: interrupted before it was done$/m);
  const json = JSON.parse(stdout) as { complete: boolean; measured: { idleTimeoutMs: null } };
  assert.equal(json.complete, false);
  assert.equal(json.measured.idleTimeoutMs, null);
});

test("http names the redirect that it does not follow", async () => {
  await using server = await rawServer(({ socket }) =>
    socket.end(
      "HTTP/1.1 302 Found\r\nLocation: https://a.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
  );
  const { status, stderr, stdout } = await deadpeer(["http", server.url]);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /^deadpeer: it redirects to https:\/\/a\.example\/; --follow measures there$/m);
  assert.match(stdout, /does not keep connections/);
});

const address = { address: "192.0.2.7", family: 4, port: 80 } as const;
const target = readTarget("http://a.example/");
const server = new Server({
  target,
  address,
  method: "GET",
  headers: [],
  ca: null,
  insecure: false,
  http2: true,
  patienceMs: 10_000,
  signal: new AbortController().signal,
});
const look: FirstLook = {
  server,
  addresses: 1,
  protocol: "HTTP/1.1",
  answer: { version: "1.1", status: 200, headers: new Map(), framing: "length", bodyBytes: 5, interim: 0 },
  location: null,
  hint: { timeoutMs: 5_000, max: 100, problems: [] },
  brokenOff: false,
  unaskedBytes: 0,
  whyNot: null,
  rttMs: 20,
};
const well: HttpMeasured = {
  target,
  address,
  look,
  maxMs: 120_000,
  idle: { lowMs: 3_001, highMs: 3_020, by: "fin", outlived: 0, afterClose: "reset", announced: false },
  requests: { limit: 100, answered: 100, announced: true, silent: false },
  cost: { newMs: 61.2, reusedMs: 20.4, newPackets: 12, reusedPackets: 3, samples: 7 },
  connectionHeader: { closeHonoured: true, http10Closes: true, http10KeepAlive: false },
  problem: null,
};
const measured: Readonly<Record<string, HttpMeasured>> = {
  "a server that advertises more than it keeps": well,
  "a firewall that forgets": {
    ...well,
    look: { ...look, hint: null },
    idle: { lowMs: 343_000, highMs: 352_400, by: "lost", outlived: 0, afterClose: null, announced: false },
    requests: { limit: null, answered: 1_000, announced: true, silent: false },
    // A page so large that its handshake does not show.
    cost: { newMs: 40.1, reusedMs: 44.9, newPackets: 9, reusedPackets: 11.5, samples: 7 },
  },
  "a server that resets": {
    ...well,
    look: { ...look, hint: { timeoutMs: null, max: null, problems: ['"timeout=-1" is no number'] } },
    idle: { lowMs: 60_000, highMs: 60_900, by: "rst", outlived: 2, afterClose: null, announced: false },
    requests: { limit: 9, answered: 9, announced: false, silent: false },
  },
  "HTTP/2": {
    ...well,
    look: { ...look, protocol: "HTTP/2", hint: null },
    idle: { lowMs: 75_000, highMs: 75_010, by: "fin", outlived: 0, afterClose: null, announced: true },
    requests: null,
    connectionHeader: null,
  },
  "a server that hangs": {
    ...well,
    idle: { lowMs: 3_001, highMs: 3_020, by: "fin", outlived: 0, afterClose: null, announced: false },
    requests: { limit: 2, answered: 2, announced: false, silent: true },
  },
  "a server that takes few requests": {
    ...well,
    look: { ...look, hint: null },
    idle: { lowMs: 17_000, highMs: null, by: null, outlived: 0, afterClose: null, announced: false },
    requests: { limit: 9, answered: 9, announced: false, silent: false },
  },
  "no keep-alive": {
    ...well,
    look: { ...look, hint: null, whyNot: 'answers "Connection: close"' },
    idle: null,
    requests: null,
    cost: null,
    connectionHeader: { closeHonoured: true, http10Closes: true, http10KeepAlive: false },
  },
  interrupted: {
    ...well,
    look: { ...look, hint: null },
    idle: { lowMs: 17_000, highMs: null, by: null, outlived: 0, afterClose: null, announced: false },
    problem: new DeadpeerError("aborted", "interrupted before it was done"),
  },
};

test("undici, set as recommended, sends no more requests on a connection than the server takes", async () => {
  const { undici = "" } = settingsLines({ clientIdleMs: null, requestsPerConnection: 3 });
  const [, most] = /^new Agent\(\{ maxRequestsPerClient: (\d+) \}\)$/.exec(undici) ?? [];
  let mostSeen = 0;
  await using server = await rawServer(({ socket, nth }) => {
    mostSeen = Math.max(mostSeen, nth);
    socket.write(answer());
  });
  const agent = new Agent({ maxRequestsPerClient: Number(most), connections: 1 });
  for (let sent = 1; sent <= 7; sent++) {
    const { body } = await agent.request({ origin: server.url, path: "/", method: "GET" });
    await body.dump();
  }
  assert.equal(mostSeen, 3);
  await agent.close();
});

/** To accept a change on purpose: UPDATE_SNAPSHOTS=1 npm test -- cli/http */
test("what is printed is what was agreed on", () => {
  const snapshot = `${checkout}test/cli/http.txt`;
  const printed = Object.entries(measured)
    .map(([name, one]) => `# ${name}\n${httpReport(one, { width: 100, colour: false })}\n`)
    .join("\n");
  if (process.env["UPDATE_SNAPSHOTS"] === "1") writeFileSync(snapshot, printed);
  assert.equal(printed, readFileSync(snapshot, "utf8"));
});
