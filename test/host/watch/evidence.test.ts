import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Death, DeathFinder } from "../../../src/host/watch/death-finder.js";
import {
  type Background,
  evidenceOf,
  type Sees,
  vanishedEvidence,
} from "../../../src/host/watch/evidence.js";
import type { TraceEvent } from "../../../src/host/watch/trace-events.js";
import { linuxDefaults } from "../../../src/plan/settings.js";
import { judge, type Verdict } from "../../../src/verdict/verdict.js";
import { seenSettings } from "../made.js";
import { at, change, errorReport, exit, program, resetReceived, resetSent, sample } from "./made.js";

const all: Sees = { errors: true, resetsReceived: true, resetsSent: true };
const plain = seenSettings([1_000, 1_000, 3]).settings;
const limited = seenSettings([1_000, 1_000, 3], 3_000).settings;

function deathOf(events: readonly TraceEvent[]): Death {
  const finder = new DeathFinder();
  const deaths = events.map((event) => finder.take(event)).filter((death) => death !== null);
  assert.equal(deaths.length, 1);
  return deaths[0] as Death;
}

function verdictOf(
  events: readonly TraceEvent[],
  known: Partial<Background> = {},
  sees: Sees = all,
): Verdict & { readonly concluded: boolean } {
  const background: Background = {
    at: 1_700_000_000_000,
    sample: null,
    settings: null,
    system: linuxDefaults,
    nameOf: ({ tid }) => `ss (process ${tid})`,
    selfPausedMs: null,
    ...known,
  };
  const { evidence, concluded } = evidenceOf(deathOf(events), background, sees);
  return { ...judge(evidence), concluded };
}

function shown({ state, timer, regime, detectedAfterMs }: Verdict): unknown[] {
  return [state, timer, regime, detectedAfterMs];
}

function retried(retransmits: number): Partial<Background> {
  return { sample: sample({ retransmits }) };
}

const end = change(0, "ESTABLISHED", "CLOSE");
const timedOut = [errorReport(0, "ETIMEDOUT"), end];
const keepaliveDeath = [resetSent(0, "TCP_KEEPALIVE_TIMEOUT"), ...timedOut];
const birth = (ms: number): TraceEvent => change(ms, "CLOSE", "SYN_SENT", { tid: program });

describe("from events to verdicts", () => {
  test("keepalive's timeout, by its RST, without any figures", () => {
    const { state, timer, regime, certainty, errno, detectedAfterMs } = verdictOf(keepaliveDeath);
    assert.deepEqual(
      [state, timer, regime, certainty, errno],
      ["silent", "keepalive", "idle", "certain", "ETIMEDOUT"],
    );
    assert.equal(detectedAfterMs, null);
  });

  test("since when: the figures' clocks, put to the moment of the death", () => {
    // Read 2 s before the end, when the peer had been silent for 4.
    const early = sample({ atMs: at(-2_000) / 1e6 });
    assert.equal(verdictOf(keepaliveDeath, { sample: early }).detectedAfterMs, 6_000);
    // The kernel's last word comes when the program has closed it.
    const late = sample({ atMs: at(1_500) / 1e6, lastAckRecvMs: 4_500, lastDataRecvMs: 9_000 });
    assert.equal(verdictOf(keepaliveDeath, { sample: late }).detectedAfterMs, 3_000);
  });

  test("any other timeout had data to send, whatever an older look says", () => {
    const { timer, regime } = verdictOf(timedOut, { sample: sample({ retransmits: 15 }), settings: plain });
    assert.deepEqual([timer, regime], ["retransmit", "sending"]);
    assert.equal(verdictOf(timedOut, { sample: sample(), settings: limited }).timer, "user-timeout");
  });

  test("a closed window stays one", () => {
    const closed = sample({ sndWnd: 0, notsentBytes: 5_000 });
    const { state, timer, regime } = verdictOf(timedOut, { sample: closed, settings: limited });
    assert.deepEqual([state, timer, regime], ["unresponsive", "user-timeout", "zero-window"]);
  });

  test("where the settings are not known, an early end is a user timeout's", () => {
    const early = verdictOf(timedOut, retried(4));
    assert.equal(early.timer, "user-timeout");
    assert.match(early.sentence, /a user timeout ended the connection/);
    assert.equal(verdictOf(timedOut, retried(15)).timer, "retransmit");
    // It cannot have waited for a quarter of an hour: it was not that old.
    assert.equal(verdictOf([birth(-3_000), ...timedOut], retried(15)).timer, "user-timeout");
    assert.equal(verdictOf([birth(-1_000_000), ...timedOut], retried(15)).timer, "retransmit");
    // A router's report that a timer made the reason; on an established connection ECONNREFUSED is one, too.
    for (const errno of ["EHOSTUNREACH", "ECONNREFUSED"]) {
      const reported = verdictOf([errorReport(0, errno), end], retried(3));
      assert.deepEqual([reported.state, reported.timer], ["unreachable", "user-timeout"]);
    }
  });

  test("of an attempt to connect the clocks mean nothing: the figures are without them", () => {
    const given = [birth(-3_000), errorReport(0, "ETIMEDOUT"), change(0, "SYN_SENT", "CLOSE")];
    // What tcp_info says of a socket that has sent nothing but SYNs: times since the machine was started.
    const meaningless = { lastDataSentMs: 98_765_432, lastDataRecvMs: 98_765_432, lastAckRecvMs: 3_000 };
    const { figures } = verdictOf(given, { sample: sample({ ...meaningless, retransmits: 2 }) });
    assert.deepEqual(
      [figures?.lastDataSentMs, figures?.lastDataRecvMs, figures?.lastAckRecvMs, figures?.retransmits],
      [null, null, null, 2],
    );
    const heard = verdictOf(timedOut, { sample: sample({ retransmits: 2 }) }).figures;
    assert.deepEqual([heard?.lastDataSentMs, heard?.lastAckRecvMs], [4_000, 4_000]);
    const listed = { state: "SYN_SENT", sample: sample(meaningless), settings: null } as const;
    const { figures: vanished } = vanishedEvidence(listed, null, false, { at: 0, atMs: at(0) / 1e6 });
    assert.deepEqual([vanished?.lastDataSentMs, vanished?.lastAckRecvMs], [null, null]);
  });

  test("an attempt to connect: refused, unanswered, unreachable, given up", () => {
    const attempt = (ms: number, errno: string | null): TraceEvent[] => [
      birth(-ms),
      ...(errno === null ? [] : [errorReport(0, errno)]),
      change(0, "SYN_SENT", "CLOSE", errno === null ? { tid: program } : {}),
    ];
    const refused = verdictOf([
      birth(-1),
      resetReceived(0),
      errorReport(0, "ECONNREFUSED"),
      change(0, "SYN_SENT", "CLOSE"),
    ]);
    assert.deepEqual(shown(refused), ["reset", "none", "connecting", 1]);
    assert.equal(refused.certainty, "certain");
    assert.deepEqual(shown(verdictOf(attempt(135_000, "ETIMEDOUT"))), [
      "silent",
      "retransmit",
      "connecting",
      135_000,
    ]);
    assert.deepEqual(shown(verdictOf(attempt(3_000, "ETIMEDOUT"))), [
      "silent",
      "user-timeout",
      "connecting",
      3_000,
    ]);
    assert.deepEqual(shown(verdictOf(attempt(2, "EHOSTUNREACH"))), ["unreachable", "none", "connecting", 2]);
    assert.deepEqual(shown(verdictOf(attempt(500, null))), ["local", "none", "connecting", null]);
  });

  test("a reset, and what had provoked it", () => {
    const reset = [resetReceived(0), end, errorReport(0, "ECONNRESET")];
    assert.equal(verdictOf(reset).state, "reset");
    assert.equal(verdictOf(reset).certainty, "certain");
    assert.equal(verdictOf(reset, { sample: sample({ probes: 1 }) }).timer, "keepalive");
  });

  test("our own program closed it, or ended; somebody else ended it in the kernel", () => {
    const own = [change(-2, "ESTABLISHED", "FIN_WAIT1", { tid: program }), change(0, "FIN_WAIT2", "CLOSE")];
    assert.match(verdictOf(own).sentence, /^Our own program closed the connection/);
    assert.match(verdictOf([exit(-3), ...own]).sentence, /^Our own program ended/);
    const destroyed = verdictOf([
      errorReport(0, "ECONNABORTED"),
      change(0, "ESTABLISHED", "CLOSE", { tid: 99 }),
    ]);
    assert.deepEqual([destroyed.state, destroyed.certainty], ["local", "certain"]);
    assert.match(destroyed.sentence, /^ss \(process 99\) ended the connection in the kernel/);
  });

  test("how the kernel gets rid of a connection that both have ended is nobody's concern", () => {
    const closed = [
      change(-9, "ESTABLISHED", "CLOSE_WAIT"),
      change(-8, "CLOSE_WAIT", "LAST_ACK", { tid: program }),
      errorReport(0, "ETIMEDOUT"),
      change(0, "LAST_ACK", "CLOSE"),
    ];
    assert.deepEqual([verdictOf(closed).state, verdictOf(closed).errno], ["closed", null]);
    // But a peer that never acknowledges our end is gone.
    const unheard = [
      change(-9, "ESTABLISHED", "FIN_WAIT1", { tid: program }),
      errorReport(0, "ETIMEDOUT"),
      change(0, "FIN_WAIT1", "CLOSE"),
    ];
    assert.equal(verdictOf(unheard).state, "silent");
  });
});

describe("on kernels that tell less", () => {
  const noErrors: Sees = { ...all, errors: false };

  test("without errors: a reset is certain, so is keepalive's timeout, another is concluded", () => {
    const reset = verdictOf([resetReceived(0), end], {}, noErrors);
    assert.deepEqual([reset.state, reset.errno, reset.concluded], ["reset", "ECONNRESET", false]);
    const refused = verdictOf([birth(-1), resetReceived(0), change(0, "SYN_SENT", "CLOSE")], {}, noErrors);
    assert.deepEqual([refused.state, refused.errno], ["reset", "ECONNREFUSED"]);
    const keepalive = verdictOf([resetSent(0, null), end], {}, noErrors);
    assert.deepEqual([keepalive.state, keepalive.timer, keepalive.concluded], ["silent", "keepalive", false]);
    const silent = verdictOf([end], { sample: sample({ retransmits: 15 }), settings: plain }, noErrors);
    assert.deepEqual([silent.state, silent.timer, silent.concluded], ["silent", "retransmit", true]);
    const own = verdictOf([change(0, "ESTABLISHED", "CLOSE", { tid: program })], {}, noErrors);
    assert.deepEqual([own.state, own.concluded], ["local", false]);
  });

  test("without errors: no timer has ended an attempt to connect that was that short", () => {
    const attempt = [birth(-5), change(0, "SYN_SENT", "CLOSE")];
    const rejected = verdictOf(attempt, {}, noErrors);
    assert.deepEqual(
      [rejected.state, rejected.certainty, rejected.concluded],
      ["unreachable", "likely", true],
    );
    const refused = verdictOf(attempt, {}, { ...noErrors, resetsReceived: false });
    assert.deepEqual([refused.state, refused.certainty, refused.concluded], ["reset", "likely", true]);
    const unanswered = verdictOf([birth(-3_000), change(0, "SYN_SENT", "CLOSE")], {}, noErrors);
    assert.deepEqual([unanswered.state, unanswered.timer], ["silent", "user-timeout"]);
  });

  test("without errors and RSTs that arrive, the program may only have dealt with one", () => {
    const own = [change(0, "ESTABLISHED", "CLOSE", { tid: program })];
    assert.equal(verdictOf(own, {}, { ...noErrors, resetsReceived: false }).concluded, true);
  });

  test("without RSTs that are sent: the figures tell keepalive's timeouts", () => {
    const noResets: Sees = { ...all, resetsSent: false };
    const probed = verdictOf(timedOut, { sample: sample({ probes: 3 }) }, noResets);
    assert.deepEqual([probed.state, probed.timer, probed.regime], ["silent", "keepalive", "idle"]);
    const sending = verdictOf(timedOut, { sample: sample({ retransmits: 4 }) }, noResets);
    assert.deepEqual([sending.timer, sending.regime], ["user-timeout", "sending"]);
    assert.equal(verdictOf(timedOut, {}, noResets).timer, "none");
  });
});

describe("connections that vanished from the list", () => {
  const when = { at: 1_700_000_000_000, atMs: at(0) / 1e6 };
  const state = (
    listed: Parameters<typeof vanishedEvidence>[0],
    told: Parameters<typeof vanishedEvidence>[1] = null,
    waits = false,
  ): string => judge(vanishedEvidence(listed, told, waits, when)).state;
  const seen = { sample: sample(), settings: null };

  test("say by their last state, and by TIME_WAIT, who ended them", () => {
    assert.equal(state({ ...seen, state: "CLOSE_WAIT" }), "closed");
    assert.equal(state({ ...seen, state: "LAST_ACK" }), "closed");
    assert.equal(state({ ...seen, state: "FIN_WAIT2" }), "local");
    assert.equal(state({ ...seen, state: "ESTABLISHED" }, null, true), "local");
  });

  test("died of what went unanswered", () => {
    assert.equal(state({ ...seen, state: "ESTABLISHED", sample: sample({ retransmits: 4 }) }), "silent");
    assert.equal(state({ ...seen, state: "ESTABLISHED" }, sample({ probes: 3 })), "silent");
  });
});
