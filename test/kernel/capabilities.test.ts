import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answerFrom, type Capability, have } from "../../src/kernel/capabilities.js";
import { needsRoot, runModule } from "./support.js";

const host = "         0          0 4294967295\n";
const rootless = "         0       1000          1\n         1     100000      65536\n";
const status = (effective: string): string =>
  `Name:\tnode\nCapPrm:\t000001ffffffffff\nCapEff:\t${effective}\nCapBnd:\t0\n`;

describe("the answer from /proc", () => {
  const cases: [name: string, capability: Capability, effective: string, map: string, answer: string][] = [
    ["root", "CAP_NET_ADMIN", "000001ffffffffff", host, "yes"],
    ["a user", "CAP_NET_ADMIN", "0000000000000000", host, "no"],
    ["bit 12 alone", "CAP_NET_ADMIN", "0000000000001000", host, "yes"],
    ["all but bit 12", "CAP_NET_ADMIN", "000001ffffffefff", host, "no"],
    ["bit 19 alone", "CAP_SYS_PTRACE", "0000000000080000", host, "yes"],
    ["bit 21 alone", "CAP_SYS_ADMIN", "0000000000200000", host, "yes"],
    ["a container's root without it", "CAP_SYS_ADMIN", "00000000a80425fb", host, "no"],
    ["root of a user namespace", "CAP_NET_ADMIN", "000001ffffffffff", rootless, "unknown"],
    ["nobody of a user namespace", "CAP_NET_ADMIN", "0000000000000000", rootless, "no"],
  ];
  for (const [name, capability, effective, map, answer] of cases)
    test(`${name}: ${capability} ${answer}`, () => {
      assert.equal(answerFrom(capability, status(effective), map), answer);
    });

  test("a status that says nothing of capabilities", () => {
    assert.equal(answerFrom("CAP_NET_ADMIN", "Name:\tnode\n", host), "unknown");
  });
});

const ask = `const { have } = await import(src + "kernel/capabilities.js");
console.log(["CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"].map(have).join(" "));`;

describe("this kernel", { skip: needsRoot }, () => {
  test("root has them all", () => {
    assert.equal(have("CAP_SYS_ADMIN"), "yes");
  });

  test("a process that gave one up has it no more", () => {
    const { stdout, stderr } = runModule(ask, [
      "setpriv",
      "--bounding-set=-sys_ptrace",
      "--inh-caps=-sys_ptrace",
    ]);
    assert.equal(stdout, "yes no yes\n", stderr);
  });

  test("root of a user namespace of its own cannot know", () => {
    const { stdout, stderr } = runModule(ask, ["unshare", "--user", "--map-root-user"]);
    assert.equal(stdout, "unknown unknown unknown\n", stderr);
  });
});
