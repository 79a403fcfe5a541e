import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  compareKernelVersions,
  formatKernelVersion,
  type KernelVersion,
  kernelVersion,
  parseKernelVersion,
} from "../../src/kernel/version.js";
import { run } from "./support.js";

test("versions as kernels give them", () => {
  const cases: [string, string | null][] = [
    ["6.18.44-fc-v669", "6.18.44"],
    ["6.1.0-42-amd64", "6.1"],
    ["5.15.0-1053-azure", "5.15"],
    ["4.4.0-19041-Microsoft", "4.4"],
    ["6.6.87.2-microsoft-standard-WSL2", "6.6.87"],
    ["6.19-rc1", "6.19"],
    ["unknown", null],
    ["", null],
  ];
  for (const [text, expected] of cases) {
    const version = parseKernelVersion(text);
    assert.equal(version === null ? null : formatKernelVersion(version), expected, text);
  }
});

test("this kernel's version is the start of uname -r", () => {
  const version = kernelVersion();
  assert.ok(version);
  const { major, minor, patch } = version;
  assert.ok(
    `${run("uname", ["-r"]).trim()}.0`.startsWith(
      patch === 0 ? `${major}.${minor}` : `${major}.${minor}.${patch}`,
    ),
  );
});

function compare(a: string, b: string): number {
  const [left, right] = [parseKernelVersion(a), parseKernelVersion(b)];
  assert.ok(left && right);
  return Math.sign(compareKernelVersions(left, right));
}

function rank({ major, minor, patch }: KernelVersion): number {
  return (major * 1_000 + minor) * 1_000 + patch;
}

test("comparing goes by number, not by text, and is an order", () => {
  assert.equal(compare("6.9", "6.15"), -1);
  assert.equal(compare("6.15.0-rc1", "6.15"), 0);
  assert.equal(compare("5.19.17", "6.0"), -1);
  const version = fc.record({ major: fc.nat(9), minor: fc.nat(30), patch: fc.nat(300) });
  fc.assert(
    fc.property(fc.array(version), (versions) => {
      assert.deepEqual(
        versions.toSorted(compareKernelVersions).map(rank),
        versions.map(rank).toSorted((a, b) => a - b),
      );
    }),
  );
});
