import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { type Death, DeathFinder, hadFin } from "../../../src/host/watch/death-finder.js";
import type { TraceEvent } from "../../../src/host/watch/trace-events.js";
import { tcpStates } from "../../../src/kernel/tcp-states.js";
import {
  at,
  change,
  destroyed,
  ends,
  errorReport,
  exit,
  otherEnds,
  program,
  resetReceived,
  resetSent,
  socket,
} from "./made.js";

function deathsOf(events: readonly TraceEvent[], finder = new DeathFinder()): Death[] {
  return events.map((event) => finder.take(event)).filter((death) => death !== null);
}

/** The only one. */
function deathOf(events: readonly TraceEvent[]): Death {
  const deaths = deathsOf(events);
  assert.equal(deaths.length, 1);
  return deaths[0] as Death;
}

function last(from: "LAST_ACK" | "CLOSE_WAIT" | "FIN_WAIT2"): Death {
  return deathOf([change(1, from, "CLOSE")]);
}

const end = (ms: number): TraceEvent => change(ms, "FIN_WAIT2", "CLOSE");

function gaveUp(reason: string | null, tid = 0): boolean {
  return deathOf([resetSent(50, reason, tid), change(50, "ESTABLISHED", "CLOSE")]).keepaliveTimeout;
}

describe("deaths in the kernel's events", () => {
  test("the program ends a connection that it began", () => {
    const death = deathOf([
      change(0, "CLOSE", "SYN_SENT", { tid: program }),
      change(1, "SYN_SENT", "ESTABLISHED"),
      change(50, "ESTABLISHED", "FIN_WAIT1", { tid: program }),
      change(52, "FIN_WAIT2", "CLOSE"),
      destroyed(52),
    ]);
    assert.equal(death.from, "FIN_WAIT2");
    assert.equal(death.bornNs, at(0));
    assert.equal(death.outgoing, true);
    assert.equal(death.connectedBy, program);
    assert.equal(death.peerFin, false);
    assert.deepEqual(death.closedBy, { tid: program, exited: false });
    assert.equal(death.errno, null);
    assert.equal(death.cookie, 77);
    assert.equal(death.destroyedNs, at(52));
  });

  test("the peer ends one that it began, and the program follows", () => {
    const death = deathOf([
      change(1, "SYN_RECV", "ESTABLISHED"),
      change(50, "ESTABLISHED", "CLOSE_WAIT"),
      change(60, "CLOSE_WAIT", "LAST_ACK", { tid: program }),
      change(61, "LAST_ACK", "CLOSE"),
    ]);
    assert.equal(death.outgoing, false);
    assert.equal(death.bornNs, at(1));
    assert.equal(death.peerFin, true);
    assert.deepEqual(death.closedBy, { tid: program, exited: false });
  });

  test("both end it at once: the peer was not first", () => {
    const death = deathOf([
      change(50, "ESTABLISHED", "FIN_WAIT1", { tid: program }),
      change(51, "FIN_WAIT1", "CLOSING"),
      change(52, "CLOSING", "CLOSE"),
    ]);
    assert.equal(death.peerFin, false);
    assert.equal(death.from, "CLOSING");
  });

  test("what was there before says by its state who was first", () => {
    assert.equal(last("LAST_ACK").peerFin, true);
    assert.equal(last("CLOSE_WAIT").peerFin, true);
    assert.equal(last("FIN_WAIT2").peerFin, false);
    assert.equal(last("LAST_ACK").bornNs, null);
    assert.equal(last("LAST_ACK").outgoing, null);
  });

  test("the peer's FIN has come, unless the kernel did not wait for it", () => {
    const closed = change(50, "ESTABLISHED", "FIN_WAIT1", { tid: program });
    const acknowledged = change(52, "FIN_WAIT1", "FIN_WAIT2");
    assert.equal(hadFin(deathOf([closed, acknowledged, end(60), destroyed(60)])), true);
    assert.equal(hadFin(deathOf([closed, acknowledged, end(52), destroyed(52)])), false);
    // The program still holds it: then only the FIN ends it.
    assert.equal(hadFin(deathOf([closed, acknowledged, end(52), destroyed(90, 77, program)])), true);
    assert.equal(hadFin(deathOf([closed, acknowledged, end(52)])), true);
    assert.equal(hadFin(last("LAST_ACK")), true);
    assert.equal(hadFin(deathOf([change(1, "ESTABLISHED", "CLOSE")])), false);
  });

  test("the error is reported before the end, or right after it", () => {
    const close = change(50, "ESTABLISHED", "CLOSE");
    assert.equal(deathOf([errorReport(50, "ETIMEDOUT"), close]).errno, "ETIMEDOUT");
    assert.equal(deathOf([close, errorReport(50, "ECONNRESET")]).errno, "ECONNRESET");
  });

  test("an error of long before, or of another connection, is none of it", () => {
    const close = change(50, "ESTABLISHED", "CLOSE");
    assert.equal(deathOf([errorReport(1, "EHOSTUNREACH"), close]).errno, null);
    assert.equal(deathOf([errorReport(50, "ETIMEDOUT", otherEnds), close]).errno, null);
    assert.equal(deathOf([close, errorReport(90, "ETIMEDOUT")]).errno, null);
  });

  test("an RST that arrives is remembered, with the cookie that it tells", () => {
    const death = deathOf([resetReceived(50, 99), change(50, "ESTABLISHED", "CLOSE")]);
    assert.equal(death.resetReceived, true);
    assert.equal(death.cookie, 99);
  });

  test("an RST that no program sent is keepalive's, where the reason does not say otherwise", () => {
    assert.equal(gaveUp("TCP_KEEPALIVE_TIMEOUT"), true);
    // Before Linux 6.10, and in 6.10 and 6.11.
    assert.equal(gaveUp(null), true);
    assert.equal(gaveUp("NOT_SPECIFIED"), true);
    assert.equal(gaveUp("TCP_ABORT_ON_MEMORY"), false);
    assert.equal(gaveUp("TCP_ABORT_ON_CLOSE", program), false);
  });

  test("a program that ended did not close it, its kernel did", () => {
    const death = deathOf([
      exit(49),
      change(50, "ESTABLISHED", "FIN_WAIT1", { tid: program }),
      change(51, "FIN_WAIT1", "CLOSE"),
    ]);
    assert.deepEqual(death.closedBy, { tid: program, exited: true });
  });

  test("listeners and sockets that were never connected do not die", () => {
    assert.deepEqual(deathsOf([change(1, "LISTEN", "CLOSE"), change(2, "CLOSE", "CLOSE"), destroyed(3)]), []);
  });

  test("a socket whose address is used again begins anew", () => {
    const finder = new DeathFinder();
    const [first, second] = deathsOf(
      [
        change(0, "CLOSE", "SYN_SENT", { tid: program }),
        resetReceived(1),
        change(1, "SYN_SENT", "CLOSE"),
        destroyed(2, 1),
        change(10, "CLOSE", "SYN_SENT", { tid: program, between: otherEnds }),
        change(11, "SYN_SENT", "ESTABLISHED"),
        change(20, "ESTABLISHED", "CLOSE", { tid: program, between: otherEnds }),
        destroyed(21, 2),
      ],
      finder,
    );
    assert.equal(first?.resetReceived, true);
    assert.equal(first?.cookie, 1);
    assert.equal(second?.resetReceived, false);
    assert.equal(second?.bornNs, at(10));
    assert.equal(second?.cookie, 2);
    assert.equal(second?.key, otherEnds.key);
  });

  test("once it is settled nothing more is taken for its own", () => {
    const finder = new DeathFinder();
    const [death] = deathsOf([change(50, "ESTABLISHED", "CLOSE")], finder);
    assert.ok(death !== undefined);
    finder.settle(death);
    finder.take(errorReport(50, "ETIMEDOUT"));
    finder.take(destroyed(51));
    assert.equal(death.errno, null);
    assert.equal(death.destroyedNs, null);
  });

  test("what cannot matter any more is forgotten", () => {
    const finder = new DeathFinder();
    finder.take(errorReport(0, "ETIMEDOUT"));
    finder.take(exit(0));
    finder.forget(at(20_000));
    const [death] = deathsOf([change(1, "ESTABLISHED", "CLOSE", { tid: program })], finder);
    assert.equal(death?.errno, null);
    assert.deepEqual(death?.closedBy, { tid: program, exited: false });
  });

  test("of whatever comes, each end of a connection is one death", () => {
    const state = fc.constantFrom(...tcpStates);
    const event = fc.oneof(
      fc
        .record({
          from: state,
          to: state,
          tid: fc.constantFrom(0, program),
          of: fc.constantFrom(socket, socket + 64),
        })
        .map(({ from, to, ...rest }) => change(1, from, to, rest)),
      fc.constantFrom(
        errorReport(1, "ETIMEDOUT"),
        resetReceived(1),
        resetSent(1, null),
        destroyed(1),
        exit(1),
      ),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const expected = events.filter(
          (one) =>
            one.kind === "state" && one.to === "CLOSE" && one.from !== "LISTEN" && one.from !== "CLOSE",
        );
        const deaths = deathsOf(events);
        assert.equal(deaths.length, expected.length);
        for (const death of deaths) assert.equal(death.key, ends.key);
      }),
    );
  });
});
