import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { sysctlTargets } from "../../../src/host/sysctl/targets.js";
import { sourceOf } from "../../../src/host/sysctl/sources.js";
import { readable, sysctlFacts } from "../../../src/host/sysctl/values.js";
import { linuxDefaults } from "../../../src/plan/settings.js";

describe("values to write", () => {
  test("only what was asked for, in the sysctls' own units", () => {
    assert.deepEqual(sysctlTargets({ idleMs: 20_000, count: 3 }), [
      { name: "net.ipv4.tcp_keepalive_time", value: 20 },
      { name: "net.ipv4.tcp_keepalive_probes", value: 3 },
    ]);
    assert.deepEqual(sysctlTargets({}), []);
  });

  const refused: [object, RegExp][] = [
    [{ idleMs: 0 }, /outside 1s to 32767s/],
    [{ idleMs: 32_768_000 }, /outside/],
    [{ idleMs: 1_500 }, /whole seconds/],
    [{ intervalMs: 999 }, /outside/],
    [{ count: 0 }, /1 to 127/],
    [{ count: 128 }, /1 to 127/],
    [{ retries2: 0 }, /1 to 255/],
    [{ retries2: 256 }, /1 to 255/],
    [{ retries2: Number.NaN }, /not a whole number/],
  ];
  for (const [wish, message] of refused)
    test(`refuses ${JSON.stringify(wish)}, which the kernel might take`, () => {
      assert.throws(() => sysctlTargets(wish), { code: "bad-option", message });
    });
});

describe("where a value comes from", () => {
  const line = { path: "/etc/sysctl.d/50-a.conf", line: 3, value: "60" };
  const base = { value: 7_200, kernelDefault: 7_200, line: null, boots: true, original: null };

  test("the kernel's default, when no file speaks", () => {
    assert.deepEqual(sourceOf(base), { kind: "default" });
  });
  test("a file, when its value is in force", () => {
    assert.deepEqual(sourceOf({ ...base, value: 60, line }), { kind: "file", path: line.path, line: 3 });
  });
  test("a file that says what the kernel says is still the source", () => {
    assert.equal(sourceOf({ ...base, line: { ...line, value: "7200" } }).kind, "file");
  });
  test("run time, with what the next boot brings", () => {
    assert.deepEqual(sourceOf({ ...base, value: 30, line, original: 60 }), {
      kind: "runtime",
      bootValue: 60,
      bootLine: { path: line.path, line: 3 },
      original: 60,
    });
    assert.deepEqual(sourceOf({ ...base, value: 30 }), {
      kind: "runtime",
      bootValue: 7_200,
      bootLine: null,
      original: null,
    });
  });
  test("the default written over a file's value is run time too", () => {
    assert.equal(sourceOf({ ...base, line }).kind, "runtime");
  });
  test("a line that the kernel refuses counts for nothing", () => {
    assert.deepEqual(sourceOf({ ...base, line: { ...line, value: "soon" } }), { kind: "default" });
  });
  test("no boot reaches another namespace", () => {
    const source = sourceOf({ ...base, value: 30, boots: false });
    assert.equal(source.kind === "runtime" && source.bootValue, null);
  });
});

test("every value has a meaning that fits its column", () => {
  for (const { name, kernelDefault, meaning } of sysctlFacts)
    assert.ok(meaning(kernelDefault, linuxDefaults).length <= 56, name);
  assert.equal(meaningOf("tcp_retries2", 15), "resends until data in flight fails: at least 15m 25s");
  assert.equal(meaningOf("tcp_orphan_retries", 0), "resends after close (0 stands for 8): at least 1m 42s");
  assert.equal(meaningOf("tcp_synack_retries", 5), "an accept whose client vanished ends after 1m 3s");
});

test("values in words", () => {
  assert.equal(readable("s", 7_200), "2h");
  assert.equal(readable("us", 200_000), "200ms");
  assert.equal(readable("ms", 120_000), "2m");
  assert.equal(readable("count", 9), "9");
  assert.equal(readable("s", -1), "-1 s");
});

function meaningOf(name: string, value: number): string | undefined {
  return sysctlFacts.find((fact) => fact.name === `net.ipv4.${name}`)?.meaning(value, linuxDefaults);
}
