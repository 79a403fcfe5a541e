import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DetectionTable } from "../../src/host/detection.js";
import { AssessmentTable } from "../../src/host/assessment.js";
import {
  closeWaitStuckMs,
  type EarlierSample,
  type FindingCode,
  FindingTable,
  type PathBox,
} from "../../src/host/findings.js";
import { lastHeardMs, regimeOf } from "../../src/host/regime.js";
import { type SeenSettings, TimerSettings } from "../../src/host/seen-settings.js";
import type { SocketFacts } from "../../src/host/socket-facts.js";
import { linuxDefaults } from "../../src/plan/settings.js";
import type { DiagSocket } from "../../src/kernel/sock-diag.js";
import type { TcpInfo } from "../../src/kernel/tcp-info.js";
import { TimeWaitCount, timeWaitMany } from "../../src/host/time-wait.js";
import { madeFacts, madeInfo, seenSettings } from "./made.js";

const noTimer = { kind: "none", expiresMs: 0, retransmits: 0 } as const;

describe("regime", () => {
  const cases: readonly [what: string, regime: string, facts: Partial<SocketFacts>][] = [
    ["nothing queued", "idle", {}],
    ["nothing queued, keepalive on", "idle", { timer: { ...noTimer, kind: "keepalive" } }],
    ["data queued", "sending", { sendQueue: 5 }],
    ["data in flight", "sending", { sendQueue: 5, timer: { ...noTimer, kind: "retransmit" } }],
    ["window probes", "zero-window", { sendQueue: 5, timer: { ...noTimer, kind: "zero-window" } }],
    ["data behind a closed window", "zero-window", { sendQueue: 5, info: madeInfo({ sndWnd: 0 }) }],
    ["a window that nothing waits for", "idle", { info: madeInfo({ sndWnd: 0 }) }],
    ["a kernel that does not tell the window", "sending", { sendQueue: 5, info: madeInfo({ sndWnd: null }) }],
    ["no tcp_info", "sending", { sendQueue: 5, info: null }],
    ["half closed by the peer", "idle", { state: "CLOSE_WAIT" }],
    ["connecting", "connecting", { state: "SYN_SENT", timer: { ...noTimer, kind: "retransmit" } }],
    ["being connected to", "connecting", { state: "SYN_RECV" }],
    ["our FIN is out", "closing", { state: "FIN_WAIT1", sendQueue: 1 }],
    ["our FIN is acknowledged", "closing", { state: "FIN_WAIT2" }],
    ["both closed at once", "closing", { state: "CLOSING" }],
    ["the last acknowledgement", "closing", { state: "LAST_ACK" }],
    ["waiting out", "closing", { state: "TIME_WAIT", info: null }],
    ["a listener", "none", { state: "LISTEN", sendQueue: 128 }],
  ];
  for (const [what, regime, facts] of cases)
    test(what, () => assert.equal(regimeOf(madeFacts(facts)), regime));
});

describe("last heard", () => {
  test("what was received last, in any state with a peer", () => {
    for (const state of ["ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT2"] as const)
      assert.equal(lastHeardMs(state, 300), 300);
  });
  test("nothing before the handshake is done, and where the kernel keeps nothing", () => {
    for (const state of ["SYN_SENT", "SYN_RECV", "LISTEN"] as const)
      assert.equal(lastHeardMs(state, 300), null);
    assert.equal(lastHeardMs("TIME_WAIT", null), null);
  });
});

describe("what the timer tells of the settings", () => {
  const timers = new TimerSettings(linuxDefaults);
  const seen = (facts: Partial<SocketFacts>): SeenSettings => timers.of(madeFacts(facts));

  test("keepalive's timer: on, with the system's times", () => {
    const { settingsFrom, keepalive, userTimeoutMs } = seen({ timer: { ...noTimer, kind: "keepalive" } });
    assert.equal(settingsFrom, "timer");
    assert.deepEqual(keepalive, { enabled: true, idleMs: 7_200_000, intervalMs: 75_000, count: 9 });
    assert.equal(userTimeoutMs, null);
  });

  test("no timer: off", () => {
    const { settingsFrom, keepalive } = seen({});
    assert.equal(settingsFrom, "timer");
    assert.equal(keepalive, null);
  });

  test("another timer hides it", () => {
    for (const kind of ["retransmit", "zero-window"] as const)
      assert.equal(seen({ timer: { ...noTimer, kind } }).settingsFrom, "unknown", kind);
  });

  test("other states use that timer for themselves, or not at all", () => {
    for (const state of ["SYN_SENT", "FIN_WAIT2", "TIME_WAIT", "LAST_ACK", "LISTEN"] as const)
      assert.equal(seen({ state, timer: { ...noTimer, kind: "keepalive" } }).settingsFrom, "unknown", state);
  });
});

function detect(facts: Partial<SocketFacts>, seen: SeenSettings) {
  const socket = madeFacts(facts);
  return new DetectionTable(linuxDefaults).of(socket, seen, regimeOf(socket));
}

/** The time that runs behind a closed window, after so many unanswered probes. */
function nowBehindClosedWindow(retransmits: number): number | null {
  const timer = { kind: "zero-window", expiresMs: 1, retransmits } as const;
  return detect({ timer, sendQueue: 1 }, seenSettings([60_000, 10_000, 3])).nowMs;
}

describe("time to detect", () => {
  const sixty = seenSettings([60_000, 10_000, 3]);

  test("design's example", () =>
    assert.deepEqual(detect({}, sixty), {
      idleMs: 90_000,
      sendingMs: 924_600,
      zeroWindowMs: null,
      nowMs: 90_000,
      worstMs: null,
      deadPeerMs: 924_600,
    }));

  test("now is the regime that it is in", () => {
    const guarded = seenSettings([60_000, 10_000, 3], 120_000);
    assert.equal(detect({}, guarded).nowMs, 120_000);
    assert.equal(detect({ sendQueue: 1 }, sixty).nowMs, 924_600);
    assert.equal(detect({ state: "SYN_SENT" }, sixty).nowMs, 131_000);
    assert.equal(detect({ state: "FIN_WAIT1", sendQueue: 1 }, sixty).nowMs, 924_600);
    assert.equal(detect({ state: "FIN_WAIT2" }, sixty).nowMs, 90_000);
    assert.equal(detect({ state: "LISTEN" }, sixty).nowMs, null);
  });

  test("a closed window never ends while its probes are answered, and does when they are not", () => {
    assert.equal(nowBehindClosedWindow(0), null);
    assert.equal(nowBehindClosedWindow(1), null);
    assert.equal(nowBehindClosedWindow(2), 924_600);
  });

  test("what ends by itself has one time in every regime", () => {
    const none = new TimerSettings(linuxDefaults).of(madeFacts({ state: "TIME_WAIT" }));
    const every = (facts: Partial<SocketFacts>): number[] => [
      ...new Set(Object.values(detect({ inode: 0, info: null, ...facts }, none))),
    ];
    assert.deepEqual(
      every({ state: "TIME_WAIT", timer: { kind: "time-wait", expiresMs: 41_000, retransmits: 0 } }),
      [41_000],
    );
    assert.deepEqual(
      every({ state: "FIN_WAIT2", timer: { kind: "time-wait", expiresMs: 7_000, retransmits: 0 } }),
      [7_000],
    );
    // tcp_synack_retries 5: 1 + 2 + 4 + 8 + 16 + 32 s. tcp_orphan_retries 8: (2^9 - 1) x 200 ms.
    assert.deepEqual(every({ state: "SYN_RECV" }), [63_000]);
    for (const state of ["FIN_WAIT1", "CLOSING", "LAST_ACK"] as const)
      assert.deepEqual(every({ state }), [102_200], state);
  });

  test("connections with the same settings in the same situation share what is found", () => {
    const table = new DetectionTable(linuxDefaults);
    const [one, two] = [madeFacts({ cookie: "1" }), madeFacts({ cookie: "2" })];
    assert.equal(table.of(one, sixty, "idle"), table.of(two, sixty, "idle"));
    assert.notEqual(table.of(one, sixty, "idle"), table.of(two, sixty, "sending"));
  });
});

interface Circumstances {
  readonly path?: readonly PathBox[];
  readonly earlier?: EarlierSample;
}

function codes(facts: Partial<SocketFacts>, seen: SeenSettings, { path, earlier }: Circumstances = {}) {
  return findings(facts, seen, { ...(path && { path }), ...(earlier && { earlier }) }).map(
    ({ code }) => code,
  );
}

function findings(facts: Partial<SocketFacts>, seen: SeenSettings, { path, earlier }: Circumstances = {}) {
  const socket = madeFacts(facts);
  const regime = regimeOf(socket);
  const detection = new DetectionTable(linuxDefaults).of(socket, seen, regime);
  return new FindingTable(path, earlier).of({
    socket,
    seen,
    regime,
    detection,
    lastHeardMs: Math.min(socket.info?.lastDataRecvMs ?? 0, socket.info?.lastAckRecvMs ?? 0),
  });
}

function quiet(ms: number): TcpInfo {
  return madeInfo({ lastDataRecvMs: ms, lastAckRecvMs: ms });
}

function resent(retransmits: number): SocketFacts["timer"] {
  return { kind: "retransmit", expiresMs: 1, retransmits };
}

/** Two seconds later 900 bytes wait for an acknowledgement, where `before` did. */
function grown(before: number, lastAckRecvMs: number, rtoMs = 200): FindingCode[] {
  const info = madeInfo({ lastAckRecvMs, rtoUs: rtoMs * 1_000 });
  const earlier = { elapsedMs: 2_000, sendQueues: new Map([["1", before]]) };
  return codes({ sendQueue: 900, info }, seenSettings([60_000, 10_000, 3], 90_000), { earlier });
}

function idle(idleMs: number): SeenSettings {
  return seenSettings([idleMs, 10_000, 3], 90_000);
}

describe("findings", () => {
  const bare = seenSettings(null);
  const guarded = seenSettings([60_000, 10_000, 3], 90_000);
  const timers = new TimerSettings(linuxDefaults);

  test("of settings", () => {
    assert.deepEqual(codes({}, guarded), []);
    assert.deepEqual(codes({}, bare), ["no-keepalive", "no-user-timeout"]);
    assert.deepEqual(codes({}, seenSettings([60_000, 10_000, 3])), ["no-user-timeout"]);
    assert.deepEqual(codes({}, seenSettings(null, 90_000)), ["no-keepalive"]);
    assert.deepEqual(codes({}, seenSettings([7_200_000, 75_000, 9])), ["slow-detection", "no-user-timeout"]);
    assert.deepEqual(codes({}, seenSettings([60_000, 10_000, 3], 3_600_000)), ["slow-detection"]);
    assert.deepEqual(codes({}, seenSettings([600_000, 30_000, 10], 900_000)), []);
  });

  test("of the timer alone: only what it shows", () => {
    assert.deepEqual(codes({}, timers.of(madeFacts())), ["no-keepalive"]);
    const timer = { kind: "keepalive", expiresMs: 1, retransmits: 0 } as const;
    assert.deepEqual(codes({ timer }, timers.of(madeFacts({ timer }))), []);
    const hidden = { kind: "retransmit", expiresMs: 1, retransmits: 0 } as const;
    assert.deepEqual(codes({ timer: hidden }, timers.of(madeFacts({ timer: hidden }))), []);
  });

  test("only of states in which settings matter", () => {
    for (const state of ["SYN_SENT", "SYN_RECV", "FIN_WAIT2", "LAST_ACK", "TIME_WAIT", "LISTEN"] as const)
      assert.deepEqual(codes({ state }, bare), [], state);
    assert.deepEqual(codes({ state: "CLOSE_WAIT" }, bare), ["no-keepalive", "no-user-timeout"]);
  });

  test("close-wait-stuck after a minute without a word", () => {
    assert.deepEqual(codes({ state: "CLOSE_WAIT", info: quiet(59_999) }, guarded), []);
    assert.deepEqual(codes({ state: "CLOSE_WAIT", info: quiet(60_000) }, guarded), ["close-wait-stuck"]);
    assert.deepEqual(codes({ info: quiet(3_600_000) }, guarded), []);
  });

  test("zero-window", () =>
    assert.deepEqual(codes({ sendQueue: 9, info: madeInfo({ sndWnd: 0 }) }, guarded), ["zero-window"]));

  test("unacked-growing: in one sample, three retransmissions in a row", () => {
    assert.deepEqual(codes({ sendQueue: 9, timer: resent(2) }, guarded), []);
    assert.deepEqual(codes({ sendQueue: 9, timer: resent(3) }, guarded), ["unacked-growing"]);
    assert.deepEqual(codes({ state: "SYN_SENT", timer: resent(5) }, guarded), []);
  });

  test("unacked-growing: in two, a queue that grows while nothing is acknowledged", () => {
    assert.deepEqual(grown(500, 2_100), ["unacked-growing"]);
    assert.deepEqual(grown(900, 2_100), [], "it does not grow");
    assert.deepEqual(grown(500, 1_900), [], "something was acknowledged since");
    assert.deepEqual(grown(0, 2_100), [], "what waits was written since");
    assert.deepEqual(grown(500, 2_100, 1_500), [], "an answer is not overdue yet");
  });

  test("idle-exceeds-path", () => {
    const nlb = { name: "AWS NLB", idleMs: 350_000, countsKeepalive: true };
    const alb = { name: "AWS ALB", idleMs: 60_000, countsKeepalive: false };
    assert.deepEqual(codes({}, idle(349_000), { path: [nlb] }), []);
    assert.deepEqual(codes({}, idle(350_000), { path: [nlb] }), ["idle-exceeds-path"]);
    assert.deepEqual(codes({}, idle(10_000), { path: [nlb, alb] }), ["idle-exceeds-path"]);
    const [found] = findings({}, idle(400_000), { path: [nlb, alb] });
    assert.match(found?.message ?? "", /AWS ALB.*1m.*do not count/);
    assert.match(findings({}, bare, { path: [nlb] })[1]?.message ?? "", /AWS NLB.*keepalive is off/);
  });

  test("no box of the path stands between two ends on this host", () => {
    const path = [{ name: "AWS NLB", idleMs: 350_000, countsKeepalive: true }];
    for (const address of ["127.0.0.1", "127.1.2.3", "::1", "10.0.0.1"])
      assert(
        !codes({ remote: { address, port: 80 } }, bare, { path }).includes("idle-exceeds-path"),
        address,
      );
  });

  test("each says something in one line", () => {
    for (const { message } of findings({}, seenSettings([7_200_000, 75_000, 9])))
      assert.match(message, /^[^\n]{20,160}$/);
  });
});

/** A record that is in no list: only what an assessment looks at. */
function made(situation: number, facts: Partial<SocketFacts> = {}, lastReceivedMs = 0): DiagSocket {
  return { ...madeFacts(facts), cookie: 1n, situation, lastReceivedMs } as unknown as DiagSocket;
}

describe("a table of assessments", () => {
  const guarded = seenSettings([60_000, 10_000, 3], 90_000);

  test("assesses one of a kind", () => {
    const table = new AssessmentTable(linuxDefaults, new FindingTable());
    const first = table.of(made(1), guarded);
    assert.equal(table.of(made(1), guarded), first);
    assert.notEqual(table.of(made(2), guarded), first);
    assert.notEqual(table.of(made(1), null), first);
    assert.notEqual(table.of(made(1, {}, closeWaitStuckMs), guarded), first);
  });

  test("assesses each where its own address, past or timer counts", () => {
    const path = [{ name: "AWS NLB", idleMs: 1_000, countsKeepalive: true }];
    const away = made(1);
    const home = made(1, { remote: { address: "127.0.0.1", port: 80 } });
    const boxed = new AssessmentTable(linuxDefaults, new FindingTable(path));
    assert.equal(boxed.of(away, guarded).findings.length, 1);
    assert.equal(boxed.of(home, guarded).findings.length, 0);
    const plain = new AssessmentTable(linuxDefaults, new FindingTable());
    for (const expiresMs of [41_000, 7_000]) {
      const timer = { kind: "time-wait", expiresMs, retransmits: 0 } as const;
      const ending = made(6, { state: "TIME_WAIT", timer, inode: 0, info: null });
      assert.equal(plain.of(ending, null).detection.nowMs, expiresMs);
    }
  });
});

function waiting(count: number): DiagSocket[] {
  return Array.from({ length: count }, () => madeFacts({ state: "TIME_WAIT" }) as unknown as DiagSocket);
}

describe("time-wait-many", () => {
  test("from so many to one peer on", () => {
    const facts = madeFacts({ state: "TIME_WAIT" });
    assert.deepEqual(new TimeWaitCount(waiting(timeWaitMany - 1)).findings(facts), []);
    const count = new TimeWaitCount(waiting(timeWaitMany));
    assert.deepEqual(
      count.findings(facts).map(({ code }) => code),
      ["time-wait-many"],
    );
    assert.deepEqual(count.findings({ ...facts, remote: { address: "10.0.0.6", port: 5_432 } }), []);
  });
});
