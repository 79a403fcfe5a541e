import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { stateFromNumber, stateNumber, tcpStates } from "../../src/kernel/tcp-states.js";

test("every state has the number that it has in the C library's header", (context) => {
  if (spawnSync("gcc", ["--version"]).status !== 0) {
    context.skip("needs gcc");
    return;
  }
  // netinet/tcp.h knows the eleven of RFC 9293; the last two are the kernel's own.
  const common = tcpStates.slice(0, 11);
  const program = `#include <netinet/tcp.h>
${common.map((state) => `_Static_assert(TCP_${state} == ${stateNumber(state)}, "${state}");`).join("\n")}`;
  const { status, stderr } = spawnSync("gcc", ["-x", "c", "-fsyntax-only", "-"], {
    input: program,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
});

test("names and numbers are each other's opposite", () => {
  for (const state of tcpStates) assert.equal(stateFromNumber(stateNumber(state)), state);
  assert.deepEqual([stateNumber("ESTABLISHED"), stateNumber("NEW_SYN_RECV"), tcpStates.length], [1, 12, 13]);
});

test("a number without a name", () => {
  for (const number of [0, 14, 255, -1, 1.5, Number.NaN]) assert.equal(stateFromNumber(number), "UNKNOWN");
});
