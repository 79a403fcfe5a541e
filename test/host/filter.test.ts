import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DeadpeerError, type ErrorCode } from "../../src/errors.js";
import {
  detectionMatches,
  diagQuery,
  endsTest,
  type FilterOptions,
  parseFilter,
  processesMatch,
} from "../../src/host/filter.js";
import { parseStates } from "../../src/host/states.js";
import { madeConnection, protectedConnection } from "./made.js";

function refuses(options: FilterOptions, code: ErrorCode, says: RegExp): void {
  assert.throws(
    () => parseFilter(options),
    (error) => error instanceof DeadpeerError && error.code === code && says.test(error.message),
  );
}

describe("states", () => {
  test("the kernel's and ss's spellings, in any case, are one name", () => {
    for (const name of ["FIN_WAIT1", "fin-wait-1", "fin_wait_1", "Fin-Wait1"])
      assert.deepEqual(parseStates(name), ["FIN_WAIT1"], name);
    assert.deepEqual(parseStates("established,close-wait"), ["ESTABLISHED", "CLOSE_WAIT"]);
    assert.deepEqual(parseStates("estab"), ["ESTABLISHED"]);
    assert.deepEqual(parseStates("listening"), ["LISTEN"]);
    assert(parseStates("all").includes("LISTEN"));
    assert(!parseStates("connected").includes("LISTEN"));
    assert(!parseStates("synchronized").includes("SYN_SENT"));
  });

  test("a name that is none comes with the nearest", () => {
    refuses({ state: ["estabished"] }, "bad-filter", /"estabished".*ESTABLISHED/);
    refuses({ state: ["TIME-WIAT"] }, "bad-filter", /TIME_WAIT/);
    refuses({ state: ["all,"] }, "bad-filter", /no state ""/);
  });

  test("listeners are no connections unless asked for", () => {
    assert(!parseFilter().states.includes("LISTEN"));
    assert(parseFilter({ listeners: true }).states.includes("LISTEN"));
    assert.deepEqual(parseFilter({ state: ["listen"] }).states, ["LISTEN"]);
    assert(parseFilter().states.includes("TIME_WAIT"));
    assert(parseFilter().states.includes("SYN_RECV"));
  });
});

describe("filters that cannot match are refused", () => {
  test("process numbers", () => {
    for (const pid of ["", "abc", "0", "-1", "1.5", "4194305"])
      refuses({ pid: [pid] }, "bad-filter", /not a process number/);
  });
  test("ports", () => {
    for (const port of ["", "0", "70000", "80a", "-1"]) refuses({ port: [port] }, "bad-filter", /1 to 65535/);
  });
  test("durations", () => refuses({ slowerThan: "60" }, "bad-duration", /--slower-than.*unit/));
  test("empty values", () => {
    refuses({ process: [""] }, "bad-filter", /--process/);
    refuses({ cgroup: [" "] }, "bad-filter", /--cgroup/);
    refuses({ netns: [""] }, "bad-filter", /--netns/);
  });
  test("--netns beside --all-netns", () => refuses({ netns: ["a"], allNetns: true }, "bad-option", /one or/));
});

describe("what the kernel is asked", () => {
  test("one filter of a kind", () => {
    const filter = parseFilter({
      remote: ["10.0.0.0/8:5432"],
      local: [":80"],
      port: ["443"],
      state: ["listen"],
    });
    assert.deepEqual(diagQuery(filter), {
      states: ["LISTEN"],
      info: true,
      local: { port: 80 },
      remote: { address: "10.0.0.0/8", port: 5_432 },
      port: 443,
    });
    assert.equal(endsTest(filter), null, "and nothing is left to us");
  });

  test("several of a kind are left to us", () => {
    const filter = parseFilter({ remote: ["10.0.0.5", "10.0.0.6"], port: ["1", "5432"] });
    assert.deepEqual(Object.keys(diagQuery(filter)), ["states", "info"]);
    const fits = endsTest(filter);
    assert(fits !== null);
    const local = { address: "10.0.0.1", port: 40_000 };
    assert(fits({ local, remote: { address: "10.0.0.6", port: 5_432 } }));
    assert(!fits({ local, remote: { address: "10.0.0.7", port: 5_432 } }));
    assert(!fits({ local, remote: { address: "10.0.0.6", port: 5_433 } }));
    assert(fits({ local: { ...local, port: 1 }, remote: { address: "10.0.0.6", port: 5_433 } }));
  });
});

describe("processes", () => {
  const nginx = { pid: 812, name: "nginx", fd: 3 };
  const long = { pid: 900, name: "a-very-long-nam", fd: 3 };

  test("any holder may be the one", () => {
    assert(processesMatch(parseFilter({ pid: ["812"] }), [long, nginx]));
    assert(!processesMatch(parseFilter({ pid: ["813"] }), [long, nginx]));
    assert(processesMatch(parseFilter({ process: ["nginx"] }), [long, nginx]));
    assert(!processesMatch(parseFilter({ process: ["ngin"] }), [nginx]));
    assert(processesMatch(parseFilter(), []));
    assert(!processesMatch(parseFilter({ process: ["nginx"] }), []));
  });

  test("number and name must be one process's", () => {
    assert(!processesMatch(parseFilter({ pid: ["900"], process: ["nginx"] }), [long, nginx]));
    assert(processesMatch(parseFilter({ pid: ["812"], process: ["nginx"] }), [long, nginx]));
  });

  test("a name longer than the kernel keeps is compared as far as it goes", () => {
    assert(processesMatch(parseFilter({ process: ["a-very-long-name-indeed"] }), [long]));
    assert(!processesMatch(parseFilter({ process: ["a-very-long-one"] }), [long]));
  });
});

describe("the time to detect", () => {
  const unprotected = parseFilter({ unprotected: true });
  const slow = parseFilter({ slowerThan: "90s" });
  const faster = parseFilter({ slowerThan: "89s" });

  test("never is slower than any time", () => {
    assert(detectionMatches(unprotected, madeConnection()));
    assert(detectionMatches(slow, madeConnection()));
    assert(!detectionMatches(unprotected, protectedConnection()));
  });

  test("exactly the time is not slower", () => {
    assert(!detectionMatches(slow, protectedConnection()));
    assert(detectionMatches(faster, protectedConnection()));
  });

  test("a living peer's closed window is not a dead peer", () => {
    const detection = { ...protectedConnection().detection, zeroWindowMs: null, worstMs: null };
    assert(!detectionMatches(unprotected, protectedConnection({ detection })));
  });

  test("what is not known, and what has no peer, fits neither", () => {
    assert(!detectionMatches(unprotected, madeConnection({ settingsFrom: "unknown" })));
    assert(!detectionMatches(slow, madeConnection({ regime: "none", state: "LISTEN" })));
    assert(detectionMatches(parseFilter(), madeConnection({ settingsFrom: "unknown" })));
  });
});
