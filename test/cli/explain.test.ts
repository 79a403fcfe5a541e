import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Explanation } from "../../src/capture/index.js";
import { captureOf } from "../support/pcap.js";
import { checkout, cli } from "../support/checkout.js";
import { assertReadable, assertWellFormed, needsPageTools } from "../support/page.js";
import { cutOff, inOrder, threeFates, unanswered } from "./explain-captures.js";

const snapshots = `${checkout}test/cli/explain.txt`;
/** Public captures that stand beside the project where it is developed. */
const publicCaptures = `${checkout}../shared/captures/`;

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "deadpeer-explain-test-"));
});
after(() => rmSync(folder, { recursive: true }));

interface Said {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function explain(args: readonly string[], input?: Buffer): Said {
  return spawnSync(process.execPath, [cli, "explain", ...args], {
    encoding: "utf8",
    cwd: folder,
    maxBuffer: 2 ** 28,
    ...(input === undefined ? {} : { input }),
  });
}

function made(name: string, bytes: Buffer): string {
  writeFileSync(join(folder, name), bytes);
  return name;
}

/** To accept a change on purpose: UPDATE_SNAPSHOTS=1 npm test -- cli/explain */
test("what is printed for three fates is what was agreed on", () => {
  const { status, stdout, stderr } = explain([made("fates.pcap", threeFates())]);
  assert.equal(stderr, "");
  assert.equal(status, 0);
  if (process.env["UPDATE_SNAPSHOTS"] === "1") writeFileSync(snapshots, stdout);
  assert.equal(stdout, readFileSync(snapshots, "utf8"));
});

describe("what the text says", () => {
  test("silence, by the timer that noticed, with the frames that prove it", () => {
    const { stdout } = explain([made("cut.pcap", captureOf(cutOff()))]);
    assert.match(stdout, /silent/);
    assert.match(stdout, /3 keepalive probes on the idle connection went unanswered/);
    assert.match(stdout, /idle 1m, interval 10s, count 3/);
    assert.match(stdout, /noticed by a after 1m 30s, by the keepalive timer/);
    assert.match(stdout, /proof +frames [\d, ]+/);
    assert.match(stdout, /better +with idle .*: noticed at/);
    assert.match(stdout, /19 of 27 packets, 760 bytes, went into keepalive/);
  });

  test("who gave up stays in the right, though the other side speaks later and is refused", () => {
    const survivor = cutOff().unheard(580_000, 1, 14).reset(580_000.1, 0);
    const { stdout } = explain([made("survivor.pcap", captureOf(survivor))]);
    assert.match(stdout, /1 connection: 1 silent/);
    assert.match(stdout, /noticed by a after 1m 30s, by the keepalive timer/);
  });

  test("repetition is counted, not listed", () => {
    assert.match(explain(["cut.pcap"]).stdout, /⋮ +5 × keep-alive, 5 × keep-alive-ack, until/);
  });

  test("in many connections that all ended in order nothing is found", () => {
    const many = Array.from({ length: 30 }, (_, index) => inOrder(20_000 + index, index * 100));
    const { stdout } = explain([made("orderly.pcap", captureOf(...many))]);
    assert.match(stdout, /^Nobody died unheard in 30 connections; --all/m);
    assert.doesNotMatch(stdout, /^#/m);
  });

  test("of many connections only those with findings, the rest counted; --all shows all", () => {
    const many = Array.from({ length: 30 }, (_, index) => inOrder(20_000 + index, index * 100));
    const file = made("many.pcap", captureOf(cutOff(), ...many, unanswered()));
    const { stdout } = explain([file]);
    assert.match(stdout, /32 connections: 2 silent, 30 closed/);
    assert.equal(stdout.match(/^#\d+ /gm)?.length, 2);
    assert.match(stdout, /^30 more connections; --all/m);
    assert.equal(explain([file, "--all"]).stdout.match(/^#\d+ /gm)?.length, 32);
    assert.equal(explain([file, "--port", "20007"]).stdout.match(/^#\d+ /gm)?.length, 1);
    assert.match(explain([file, "--flow", "1"]).stdout, /^#1 /m);
  });
});

describe("--json", () => {
  test("is one value with the promised fields, and nothing else on stdout", () => {
    const { status, stdout, stderr } = explain([made("fates.pcap", threeFates()), "--json"]);
    assert.equal(status, 0, stderr);
    const { packets, skipped, flows } = JSON.parse(stdout) as Explanation;
    assert.equal(packets, 49);
    assert.equal(skipped, 0);
    assert.deepEqual(
      flows.map(({ a, b, opener, frames, verdict }) => ({ a, b, opener, frames, state: verdict?.state })),
      [fate(40_001, 27, "silent"), fate(40_002, 14, "silent"), fate(40_003, 8, "closed")],
    );
    const [first] = flows;
    assert.deepEqual(first?.events[0], { frame: 1, timeMs: 0, kind: "syn", from: "a" });
    const frames = flows.reduce((sum, { frames: each }) => sum + each, 0);
    assert.equal(frames + skipped, packets);
  });

  test("--port chooses", () => {
    const { flows } = JSON.parse(explain(["fates.pcap", "--json", "--port", "40002"]).stdout) as Explanation;
    assert.deepEqual(
      flows.map(({ a }) => a.port),
      [40_002],
    );
  });

  test("a capture without TCP has no flows", () => {
    const { stdout, status } = explain([made("none.pcap", captureOf()), "--json"]);
    assert.equal(status, 0);
    assert.deepEqual((JSON.parse(stdout) as Explanation).flows, []);
  });
});

function fate(port: number, frames: number, state: string): object {
  return {
    a: { address: "192.0.2.1", port },
    b: { address: "198.51.100.7", port: 5432 },
    opener: "a",
    frames,
    state,
  };
}

function whole(): string {
  return explain([made("fates.pcap", threeFates())]).stdout.replace("fates.pcap", "X");
}

describe("where a capture can come from", () => {
  test("stdin", () => {
    const { status, stdout } = explain(["-"], threeFates());
    assert.equal(status, 0);
    assert.equal(stdout.replace("stdin", "X"), whole());
  });

  test("gzip", () => {
    const { status, stdout } = explain([made("fates.pcap.gz", gzipSync(threeFates()))]);
    assert.equal(status, 0);
    assert.equal(stdout.replace("fates.pcap.gz", "X"), whole());
  });

  test("a FIFO whose writer goes away early: what was whole is told, with a warning and status 2", async () => {
    const path = join(folder, "fifo");
    assert.equal(spawnSync("mkfifo", [path]).status, 0);
    const bytes = threeFates();
    const reader = spawn(process.execPath, [cli, "explain", "--html", "fifo.html", path], { cwd: folder });
    let stderr = "";
    reader.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    writeFileSync(path, bytes.subarray(0, bytes.length - 30));
    const status = await new Promise((resolve) => reader.once("close", resolve));
    assert.equal(status, 2);
    assert.match(stderr, /ends at byte \d+ in the middle of/);
    assert.match(stderr, /wrote fifo.html: 3 connections/);
  });

  test("stdin is kept with --pcap, byte for byte", () => {
    assert.equal(explain(["-", "--pcap", "kept.pcap"], threeFates()).status, 0);
    assert.ok(readFileSync(join(folder, "kept.pcap")).equals(threeFates()));
  });
});

describe("input that is not whole", () => {
  test("cut off in many places: never a stack trace, and what was whole is told", () => {
    const bytes = captureOf(inOrder());
    for (let length = 0; length < bytes.length; length += 37) {
      const { status, stdout, stderr } = explain(["-", "--json"], bytes.subarray(0, length));
      assert.ok(status === 2 || (status === 0 && length > 24), `${length}: ${status}`);
      assert.doesNotMatch(stderr, /\n\s+at |defect/, `${length}`);
      if (status === 2) assert.match(stderr, /^deadpeer: stdin: .*\n$/, `${length}`);
      const { packets } = JSON.parse(stdout) as Explanation;
      assert.equal(packets, Math.max(0, wholeRecords(bytes, length)));
    }
  });

  test("damaged in the middle", () => {
    const bytes = threeFates();
    // The length of the fourth packet, behind a handshake of three empty ones.
    bytes.writeUInt32LE(0xffffffff, 24 + 3 * (16 + 40) + 8);
    const { status, stdout, stderr } = explain([made("damaged.pcap", bytes)]);
    assert.equal(status, 2);
    assert.match(
      stderr,
      /^deadpeer: damaged.pcap: at byte \d+ of the capture: .*packets before it were used\n$/,
    );
    assert.match(stdout, /^damaged.pcap: \d+ packets/);
  });

  test("gzip cut off", () => {
    const bytes = gzipSync(threeFates());
    const { status, stdout, stderr } = explain(["-"], bytes.subarray(0, bytes.length - 20));
    assert.equal(status, 2);
    assert.match(stderr, /ends at byte|cut off/);
    assert.match(stdout, /^stdin: \d+ packets/);
  });
});

/** How many records of a pcap file are whole in its first bytes. */
function wholeRecords(bytes: Buffer, length: number): number {
  let packets = -1;
  for (let at = 24; at <= length; packets++) {
    if (at + 16 > bytes.length) return packets + 1;
    at += 16 + bytes.readUInt32LE(at + 8);
  }
  return packets;
}

const mistakes: readonly [what: string, args: readonly string[], status: number, message: RegExp][] = [
  ["no file", ["missing.pcap"], 2, /missing.pcap cannot be read: there is no such file/],
  ["a folder", ["."], 2, /\. is a folder, not a capture/],
  ["an empty file", ["empty"], 2, /empty: the capture is empty/],
  ["not a capture", ["text"], 2, /text: at byte 0: 68656c6c begins no capture file; expected pcap/],
  ["nothing at all", [], 2, /nothing to explain/],
  ["two sources", ["fates.pcap", "--iface", "lo"], 2, /two sources/],
  ["two outputs", ["fates.pcap", "--json", "--html", "x.html"], 2, /--json and --html/],
  ["a filter for a file", ["fates.pcap", "--filter", "port 1"], 2, /--filter is for --iface/],
  ["a time for a file", ["fates.pcap", "--for", "1s"], 2, /--for is for --iface/],
  ["keeping a file", ["fates.pcap", "--pcap", "x"], 2, /kept already/],
  ["a port that is none", ["fates.pcap", "--port", "0"], 2, /port/],
  ["a flow that is none", ["fates.pcap", "--flow", "x"], 2, /--flow: "x" is not a whole number/],
  ["a flow that is not there", ["fates.pcap", "--flow", "2"], 2, /no connection begins with that frame/],
  ["a time without unit", ["--iface", "lo", "--for", "5"], 2, /--for: "5" has no unit/],
  [
    "a page over somebody's file",
    ["fates.pcap", "--html", "text"],
    2,
    /text exists and is no page of deadpeer's/,
  ],
  ["a page into nowhere", ["fates.pcap", "--html", "no/where.html"], 2, /no\/where.html cannot be written/],
  ["stdin kept over somebody's file", ["-", "--pcap", "text"], 2, /text exists already/],
];

describe("mistakes are one line and the right status", () => {
  before(() => {
    made("fates.pcap", threeFates());
    made("empty", Buffer.alloc(0));
    made("text", Buffer.from("hello, world\n"));
  });
  for (const [what, args, status, message] of mistakes)
    test(what, () => {
      const said = explain(args, threeFates());
      assert.equal(said.status, status, said.stderr);
      assert.match(said.stderr, message);
      assert.match(said.stderr, /^deadpeer: .*\n$/);
    });

  test("a file that may not be read", { skip: process.getuid?.() === 0 ? setprivMissing() : false }, () => {
    made("secret.pcap", threeFates());
    chmodSync(join(folder, "secret.pcap"), 0o000);
    chmodSync(folder, 0o755);
    const command = [process.execPath, cli, "explain", "secret.pcap"];
    const [program = "", ...args] =
      process.getuid?.() === 0
        ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...command]
        : command;
    const { status, stderr } = spawnSync(program, args, { encoding: "utf8", cwd: folder });
    assert.equal(status, 3, stderr);
    assert.match(stderr, /^deadpeer: no permission to read secret.pcap\n$/);
  });
});

function setprivMissing(): string | false {
  return spawnSync("setpriv", ["--version"]).error === undefined ? false : "needs setpriv";
}

describe("--html", () => {
  let page: string;
  before(() => {
    made("fates.pcap", threeFates());
    const { status, stdout, stderr } = explain(["fates.pcap", "--html", "-"]);
    assert.equal(status, 0, stderr);
    page = stdout;
  });

  test("shows each connection with its verdict and a drawing", () => {
    assert.equal(page.match(/<svg /g)?.length, 3);
    assert.match(page, /3 keepalive probes on the idle connection went unanswered/);
    assert.match(page, /keep-alive · no answer/);
    assert.match(page, /last heard from b/);
  });

  test("needs nothing from elsewhere and runs nothing", () => {
    assert.doesNotMatch(page, /<script|<link|<img|src=|url\(/);
    const links = [...page.matchAll(/href="([^"]*)"/g)].map(([, target]) => target ?? "");
    for (const target of links) assert.match(target, /^#/);
  });

  test("gives way to a newer page", () => {
    for (const _ of [1, 2]) assert.equal(explain(["fates.pcap", "--html", "again.html"]).status, 0);
  });

  test("is well-formed", { skip: needsPageTools }, () => assertWellFormed(page));

  for (const width of [1_200, 700])
    test(`reads well in Chromium ${width} px wide`, { skip: needsPageTools }, () =>
      assertReadable(page, width),
    );

  test("a file name that is markup stays text", { skip: needsPageTools }, () => {
    const { stdout } = explain([made("<b onload=x>&.pcap", threeFates()), "--html", "-"]);
    assert.match(stdout, /&lt;b onload=x&gt;&amp;\.pcap/);
    assertWellFormed(stdout);
  });
});

describe("public captures", { skip: existsSync(publicCaptures) ? false : "they are not here" }, () => {
  const files = existsSync(publicCaptures)
    ? readdirSync(publicCaptures).filter((name) => /\.pcap(ng)?$/.test(name))
    : [];
  for (const file of files)
    test(`${file}: text, JSON and page agree`, () => {
      const path = publicCaptures + file;
      const text = explain([path, "--all"]);
      assert.equal(text.status, 0, text.stderr);
      const { flows, packets, skipped } = JSON.parse(explain([path, "--json"]).stdout) as Explanation;
      assert.ok(text.stdout.includes(`: ${packets} packets over`));
      assert.equal(text.stdout.match(/^#\d+ /gm)?.length, flows.length);
      assert.equal(
        flows.reduce((sum, { frames }) => sum + frames, skipped),
        packets,
      );
      const page = explain([path, "--all", "--html", "-"]);
      assert.equal(page.status, 0, page.stderr);
      if (needsPageTools === false) assertWellFormed(page.stdout);
      if (needsPageTools === false && flows.length < 10) assertReadable(page.stdout, 1_000);
    });
});
