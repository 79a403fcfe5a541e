import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { Evidence, TcpFigures } from "../../src/verdict/evidence.js";
import { judge, type Verdict } from "../../src/verdict/verdict.js";

const at = 1_700_000_000_000;
const keepalive = { idleMs: 1_000, intervalMs: 1_000, count: 3 };
const plain = { keepalive, userTimeoutMs: 0 };
const limited = { keepalive, userTimeoutMs: 3_000 };

/** What tcp_info held after real deaths on Linux 6.18, in network namespaces. */
const dead: TcpFigures = {
  state: "CLOSE",
  retransmits: 0,
  probes: 0,
  unacked: 0,
  notsentBytes: 0,
  sndWnd: 2_896,
  lastDataSentMs: 4_108,
  lastDataRecvMs: 4_108,
  lastAckRecvMs: 4_108,
};
const afterProbes = { ...dead, probes: 3 };
const afterRetransmissions = { ...dead, retransmits: 4, lastDataSentMs: 76 };
const afterWriteInMidProbing = { ...afterRetransmissions, probes: 2 };
const windowAnswered = {
  ...dead,
  sndWnd: 0,
  notsentBytes: 41_992,
  lastDataSentMs: 5_272,
  lastAckRecvMs: 1_984,
};
const windowSilent = { ...windowAnswered, probes: 3, lastAckRecvMs: 5_032 };
const alive: TcpFigures = { ...dead, state: "ESTABLISHED" };

type Expected = Pick<Verdict, "state" | "timer" | "regime" | "certainty">;
type Row = [
  name: string,
  evidence: Omit<Evidence, "at">,
  expected: [Expected["state"], Expected["timer"], Expected["regime"], Expected["certainty"]],
];

/** Three heartbeats that nobody answered; the host was last heard before the given time. */
const missedAtZero = (probes: number, lastAckRecvMs: number): Partial<Evidence> => ({
  heartbeat: { missed: 3, lastAnswerMs: 1_433 },
  figures: { ...alive, sndWnd: 0, notsentBytes: 9_000, probes, lastDataRecvMs: 1_448, lastAckRecvMs },
});

const cases: Row[] = [
  [
    "idle, probes unanswered",
    { errno: "ETIMEDOUT", figures: afterProbes, settings: plain },
    ["silent", "keepalive", "idle", "certain"],
  ],
  [
    "idle, the deadline set by a user timeout",
    { errno: "ETIMEDOUT", figures: afterProbes, settings: limited },
    ["silent", "keepalive", "idle", "certain"],
  ],
  [
    "in flight",
    { errno: "ETIMEDOUT", figures: afterRetransmissions, settings: plain },
    ["silent", "retransmit", "sending", "certain"],
  ],
  [
    "in flight, user timeout",
    { errno: "ETIMEDOUT", figures: afterRetransmissions, settings: limited },
    ["silent", "user-timeout", "sending", "certain"],
  ],
  [
    "written in mid-probing: the probes are stale",
    { errno: "ETIMEDOUT", figures: afterWriteInMidProbing, settings: limited },
    ["silent", "user-timeout", "sending", "certain"],
  ],
  [
    "zero window, probes answered, user timeout",
    { errno: "ETIMEDOUT", figures: windowAnswered, settings: limited },
    ["unresponsive", "user-timeout", "zero-window", "certain"],
  ],
  [
    "zero window, probes unanswered, user timeout",
    { errno: "ETIMEDOUT", figures: windowSilent, settings: limited },
    ["silent", "user-timeout", "zero-window", "certain"],
  ],
  [
    "zero window, probes unanswered",
    { errno: "ETIMEDOUT", figures: windowSilent, settings: plain },
    ["silent", "zero-window", "zero-window", "certain"],
  ],
  [
    "zero window, one probe unanswered",
    { errno: "ETIMEDOUT", figures: { ...windowSilent, probes: 1 }, settings: limited },
    ["silent", "user-timeout", "zero-window", "likely"],
  ],
  [
    "zero window on a kernel without snd_wnd",
    { errno: "ETIMEDOUT", figures: { ...windowSilent, sndWnd: null }, settings: plain },
    ["silent", "zero-window", "zero-window", "certain"],
  ],
  ["a timeout without figures", { errno: "ETIMEDOUT" }, ["silent", "none", "idle", "likely"]],
  [
    "a timeout whose reason a trace event gave",
    { errno: "ETIMEDOUT", timer: "keepalive", regime: "idle" },
    ["silent", "keepalive", "idle", "certain"],
  ],
  [
    "a connect nobody answers",
    { errno: "ETIMEDOUT", connecting: true, settings: plain },
    ["silent", "retransmit", "connecting", "certain"],
  ],
  [
    "a connect nobody answers, user timeout",
    { errno: "ETIMEDOUT", connecting: true, settings: limited },
    ["silent", "user-timeout", "connecting", "certain"],
  ],
  [
    "a connect refused",
    { errno: "ECONNREFUSED", connecting: true },
    ["reset", "none", "connecting", "likely"],
  ],
  [
    "a connect refused by a segment that was seen",
    { errno: "ECONNREFUSED", connecting: true, resetSeen: true },
    ["reset", "none", "connecting", "certain"],
  ],
  [
    "an ICMP rejection of an established connection",
    { errno: "ECONNREFUSED", figures: afterRetransmissions, settings: limited },
    ["unreachable", "user-timeout", "sending", "certain"],
  ],
  [
    "a connect without a route",
    { errno: "ENETUNREACH", connecting: true },
    ["unreachable", "none", "connecting", "certain"],
  ],
  [
    "ICMP with data in flight",
    { errno: "EHOSTUNREACH", figures: afterRetransmissions, settings: limited },
    ["unreachable", "user-timeout", "sending", "certain"],
  ],
  [
    "a prohibition",
    { errno: "EACCES", figures: afterRetransmissions, settings: plain },
    ["unreachable", "retransmit", "sending", "likely"],
  ],
  [
    "ICMP that the kernel ignored",
    { errno: "ETIMEDOUT", icmp: "host unreachable", figures: afterProbes },
    ["unreachable", "none", "idle", "likely"],
  ],
  [
    "an RST on an idle connection",
    { errno: "ECONNRESET", figures: dead },
    ["reset", "none", "idle", "certain"],
  ],
  [
    "an RST in answer to a probe",
    { errno: "ECONNRESET", figures: { ...dead, probes: 1 } },
    ["reset", "keepalive", "idle", "certain"],
  ],
  [
    "an RST in answer to data",
    { errno: "ECONNRESET", figures: { ...dead, lastDataSentMs: 2 } },
    ["reset", "none", "sending", "certain"],
  ],
  ["an RST seen in a capture", { resetSeen: true }, ["reset", "none", "idle", "certain"]],
  ["a write into nothing", { errno: "EPIPE", figures: dead }, ["reset", "none", "idle", "likely"]],
  ["killed by SOCK_DESTROY", { errno: "ECONNABORTED", figures: dead }, ["local", "none", "idle", "likely"]],
  [
    "a name without an address",
    { errno: "ENOTFOUND", connecting: true },
    ["local", "none", "connecting", "likely"],
  ],
  ["no descriptors left", { errno: "EMFILE" }, ["local", "none", "idle", "likely"]],
  [
    "a FIN",
    { peerFin: true, figures: { ...alive, state: "LAST_ACK" } },
    ["closed", "none", "closing", "certain"],
  ],
  [
    "a FIN, and an RST for what was still written",
    { peerFin: true, errno: "EPIPE", figures: dead },
    ["reset", "none", "idle", "likely"],
  ],
  [
    "a FIN, then an RST",
    { peerFin: true, errno: "ECONNRESET", figures: dead },
    ["reset", "none", "idle", "certain"],
  ],
  ["closed by us", { closedBy: "program", figures: alive }, ["local", "none", "idle", "certain"]],
  [
    "closed by us while sending",
    { closedBy: "program", figures: { ...alive, unacked: 2 } },
    ["local", "none", "sending", "certain"],
  ],
  ["our program ended", { closedBy: "exit", figures: alive }, ["local", "none", "idle", "certain"]],
  [
    "closed by a policy",
    { closedBy: "policy", policy: "idle for 5m" },
    ["evicted", "none", "idle", "certain"],
  ],
  [
    "dead, but somebody else got the error: silence",
    { figures: afterProbes, settings: plain },
    ["silent", "keepalive", "idle", "likely"],
  ],
  ["dead, but somebody else got the error: RST", { figures: dead }, ["reset", "none", "idle", "likely"]],
  [
    "heartbeats missed while ACKs arrive",
    {
      closedBy: "program",
      heartbeat: { missed: 2, lastAnswerMs: 30_000 },
      figures: { ...alive, lastAckRecvMs: 900 },
    },
    ["unresponsive", "heartbeat", "idle", "certain"],
  ],
  [
    "heartbeats missed while nothing is acknowledged",
    {
      closedBy: "program",
      heartbeat: { missed: 2, lastAnswerMs: 9_000 },
      figures: { ...alive, unacked: 1, retransmits: 3, lastDataSentMs: 40 },
    },
    ["silent", "heartbeat", "sending", "likely"],
  ],
  [
    "heartbeats missed at a window of zero: every window probe was answered",
    missedAtZero(0, 520),
    ["unresponsive", "heartbeat", "zero-window", "certain"],
  ],
  [
    "heartbeats missed at a window of zero: the last window probe was not answered",
    missedAtZero(1, 520),
    ["unresponsive", "heartbeat", "zero-window", "likely"],
  ],
  [
    "heartbeats missed at a window of zero: two were not",
    missedAtZero(2, 520),
    ["silent", "heartbeat", "zero-window", "likely"],
  ],
  [
    "heartbeats missed at a window of zero: one was not, and none before it",
    missedAtZero(1, 1500),
    ["silent", "heartbeat", "zero-window", "likely"],
  ],
  [
    "heartbeats missed, no figures",
    { heartbeat: { missed: 2 } },
    ["unresponsive", "heartbeat", "idle", "likely"],
  ],
  ["ICMP alone", { icmp: "net unreachable" }, ["unreachable", "none", "idle", "likely"]],
  ["nothing at all", {}, ["local", "none", "idle", "likely"]],
];

describe("a table of cases", () => {
  for (const [name, evidence, [state, timer, regime, certainty]] of cases)
    test(name, () => {
      const verdict = judge({ at, ...evidence });
      assert.deepEqual(
        { state: verdict.state, timer: verdict.timer, regime: verdict.regime, certainty: verdict.certainty },
        { state, timer, regime, certainty },
        verdict.sentence,
      );
    });
});

test("heartbeats missed at a window of zero were not acknowledged, for they could not be sent", () => {
  assert.match(
    judge({ at, ...missedAtZero(0, 520) }).sentence,
    /3 heartbeats went unanswered, though its host answered, with a window of zero\.$/,
  );
});

describe("figures of a verdict", () => {
  test("an idle death went unnoticed since the peer was last heard, and the sentence says what moved the deadline", () => {
    const verdict = judge({ at, errno: "ETIMEDOUT", figures: afterProbes, settings: limited });
    assert.equal(verdict.at, at);
    assert.equal(verdict.errno, "ETIMEDOUT");
    assert.equal(verdict.lastHeardMs, 4_108);
    assert.equal(verdict.detectedAfterMs, 4_108);
    assert.equal(
      verdict.sentence,
      "The peer answered nothing for 4.1s: 3 keepalive probes on the idle connection went unanswered; the user timeout of 3s set the deadline.",
    );
  });

  test("a connect counts from its beginning: before the handshake the kernel's clocks count from boot", () => {
    const verdict = judge({
      at,
      errno: "ETIMEDOUT",
      connecting: true,
      ageMs: 3_030,
      figures: { ...dead, retransmits: 2, lastDataRecvMs: 1_142_336, lastAckRecvMs: 1_142_336 },
    });
    assert.equal(verdict.lastHeardMs, null);
    assert.equal(verdict.detectedAfterMs, 3_030);
  });

  test("a slow reader counts from the last data it took, though it answered until the end", () => {
    const verdict = judge({ at, errno: "ETIMEDOUT", figures: windowAnswered, settings: limited });
    assert.equal(verdict.lastHeardMs, 1_984);
    assert.equal(verdict.detectedAfterMs, 5_272);
  });

  test("what our own side did was not detected", () => {
    assert.equal(judge({ at, closedBy: "program", figures: alive }).detectedAfterMs, null);
    assert.equal(judge({ at, closedBy: "policy", figures: alive }).detectedAfterMs, null);
  });

  test("a side that was paused itself does not blame the peer", () => {
    const verdict = judge({
      at,
      errno: "ETIMEDOUT",
      figures: afterProbes,
      settings: plain,
      selfPausedMs: 60_000,
    });
    assert.equal(verdict.certainty, "likely");
    assert.deepEqual(verdict.couldAlsoBe, ["local"]);
    assert.match(verdict.sentence, /itself did not run for 1m, so the cause may lie on this side\.$/);
  });

  test("a pause that is short against the silence changes nothing", () => {
    const evidence: Evidence = { at, errno: "ETIMEDOUT", figures: afterProbes, settings: plain };
    assert.equal(judge({ ...evidence, selfPausedMs: 1_000 }).certainty, "certain");
  });
});

const number = fc.oneof(
  fc.nat(100_000),
  fc.constantFrom(0, 1, -1, 255, 4_294_967_295, Number.NaN, Number.POSITIVE_INFINITY),
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { freq: 3 });
const errnos = [
  ..."ETIMEDOUT ECONNRESET ECONNREFUSED ECONNABORTED EPIPE EHOSTUNREACH ENETUNREACH EHOSTDOWN ENONET ENOPROTOOPT".split(
    " ",
  ),
  ..."ENETDOWN EACCES EPERM EMFILE ENOTFOUND EADDRNOTAVAIL toString constructor".split(" "),
];
const figuresArbitrary = fc.record(
  {
    state: maybe(
      fc.constantFrom(
        "ESTABLISHED",
        "CLOSE",
        "CLOSE_WAIT",
        "SYN_SENT",
        "FIN_WAIT2",
        "LAST_ACK",
        "LISTEN",
        "?",
      ),
    ),
    retransmits: maybe(number),
    probes: maybe(number),
    unacked: maybe(number),
    notsentBytes: maybe(number),
    sndWnd: maybe(number),
    lastDataSentMs: maybe(number),
    lastDataRecvMs: maybe(number),
    lastAckRecvMs: maybe(number),
  },
  { requiredKeys: [], noNullPrototype: true },
);
const evidenceArbitrary: fc.Arbitrary<Evidence> = fc.record(
  {
    at: fc.nat(),
    errno: maybe(fc.constantFrom(...errnos)),
    peerFin: fc.boolean(),
    resetSeen: fc.boolean(),
    icmp: maybe(fc.constant("host unreachable")),
    closedBy: maybe(fc.constantFrom("program" as const, "exit" as const, "policy" as const)),
    policy: maybe(fc.constant("the idle limit of 5m")),
    programError: maybe(fc.constant("ERR_X")),
    connecting: fc.boolean(),
    ageMs: maybe(number),
    lastHeardMs: maybe(number),
    figures: maybe(figuresArbitrary),
    settings: maybe(fc.record({ keepalive: fc.constantFrom(null, keepalive), userTimeoutMs: number })),
    heartbeat: maybe(
      fc.record(
        { missed: number, lastAnswerMs: maybe(number) },
        { requiredKeys: ["missed"], noNullPrototype: true },
      ),
    ),
    regime: maybe(fc.constantFrom("idle" as const, "sending" as const, "zero-window" as const)),
    timer: maybe(fc.constantFrom("keepalive" as const, "retransmit" as const)),
    selfPausedMs: maybe(number),
  },
  { requiredKeys: ["at"], noNullPrototype: true },
);
const states = new Set(["closed", "reset", "silent", "unreachable", "unresponsive", "evicted", "local"]);
const properties = { numRuns: 20_000 };

describe("any evidence whatever", () => {
  test("gives one whole verdict, twice the same, in words that are fit for people", () => {
    fc.assert(
      fc.property(evidenceArbitrary, (evidence) => {
        const verdict = judge(evidence);
        assert.ok(states.has(verdict.state));
        assert.deepEqual(judge(structuredClone(evidence)), verdict);
        assert.doesNotMatch(verdict.sentence, /undefined|NaN|null|Infinity|\[object|\b0 times| {2}|\.\./);
        assert.match(verdict.sentence, /^[A-Z].*\.$/);
        for (const ms of [verdict.lastHeardMs, verdict.detectedAfterMs, verdict.selfPausedMs])
          assert.ok(ms === null || (Number.isFinite(ms) && ms >= 0));
        assert.equal(verdict.certainty === "certain", verdict.couldAlsoBe.length === 0);
        assert.ok(!verdict.couldAlsoBe.includes(verdict.state));
      }),
      properties,
    );
  });

  test("is certain of the peer's part only where the evidence proves it", () => {
    const proof: Record<string, (e: Evidence) => boolean> = {
      closed: (e) => e.peerFin === true,
      reset: (e) => e.resetSeen === true || e.errno === "ECONNRESET",
      silent: (e) => e.errno === "ETIMEDOUT",
      unreachable: (e) => typeof e.errno === "string" && !["ETIMEDOUT", "ECONNRESET"].includes(e.errno),
      unresponsive: (e) =>
        e.errno === "ETIMEDOUT" ||
        (e.heartbeat != null &&
          [e.lastHeardMs, e.figures?.lastAckRecvMs, e.figures?.lastDataRecvMs].some((ms) => ms != null)),
      evicted: (e) => e.closedBy === "policy",
      local: (e) => e.closedBy === "program" || e.closedBy === "exit",
    };
    fc.assert(
      fc.property(evidenceArbitrary, (evidence) => {
        const verdict = judge(evidence);
        if (verdict.certainty === "certain") assert.ok(proof[verdict.state]?.(evidence), verdict.sentence);
      }),
      properties,
    );
  });
});
