import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import * as fc from "fast-check";
import { bootLine } from "../../../src/host/sysctl/boot-files.js";
import { toNumber } from "../../../src/host/sysctl/sources.js";
import { Sandbox } from "../../support/sandbox.js";

const name = "net.ipv4.tcp_keepalive_time";
const file = (text: string, path = "/etc/sysctl.d/50-a.conf") => ({ path, text });

describe("the line that decides at boot", () => {
  const cases: [string, string, string | null, number?][] = [
    ["dots", "net.ipv4.tcp_keepalive_time = 60", "60", 1],
    ["slashes", "net/ipv4/tcp_keepalive_time=60", "60", 1],
    ["a leading slash", "/net/ipv4/tcp_keepalive_time = 60", "60", 1],
    ["the dash that forgives failures", "-net.ipv4.tcp_keepalive_time = 60", "60", 1],
    ["the last of two", "net.ipv4.tcp_keepalive_time = 60\nnet/ipv4/tcp_keepalive_time = 70", "70", 2],
    ["comments and blank lines", "# a\n; b\n\n  net.ipv4.tcp_keepalive_time =  60  ", "60", 4],
    ["another key", "net.ipv4.tcp_keepalive_times = 60", null],
    ["no assignment", "net.ipv4.tcp_keepalive_time", null],
    ["a glob", "net.ipv4.tcp_keepalive_* = 60", "60", 1],
    ["a glob does not cross slashes", "net.* = 60", null],
    ["a class", "net.ipv4.tcp_keepalive_[st]ime = 60", "60", 1],
    ["a class that excludes", "net.ipv4.tcp_keepalive_[!t]ime = 60", null],
    ["a question mark", "net.ipv4.tcp_keepalive_tim? = 60", "60", 1],
    ["an explicit key beats a later glob", `${name} = 60\nnet.ipv4.tcp_* = 70`, "60", 1],
    ["an excluded key", `net.ipv4.tcp_* = 70\n-${name}`, null],
    ["an excluded glob", "net.ipv4.tcp_* = 70\n-net.ipv4.*", "70", 1],
    ["a glob that is given again, excluded", "net.ipv4.tcp_* = 70\n-net.ipv4.tcp_*", null],
    ["an excluded key that is set later", `-${name}\n${name} = 60`, "60", 2],
  ];
  for (const [what, text, value, line] of cases)
    test(what, () => {
      const found = bootLine([file(text)], name);
      assert.deepEqual(found, value === null ? null : { path: "/etc/sysctl.d/50-a.conf", line, value });
    });

  test("a later file wins over an earlier one", () => {
    const files = [file(`${name} = 60`), file(`${name} = 70`, "/usr/lib/sysctl.d/60-b.conf")];
    assert.equal(bootLine(files, name)?.path, "/usr/lib/sysctl.d/60-b.conf");
  });

  test("no text makes it throw", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" })), (texts) => {
        bootLine(
          texts.map((text) => file(text)),
          name,
        );
      }),
    );
  });
});

const systemdSysctl = "/usr/lib/systemd/systemd-sysctl";

describe("agreement with systemd-sysctl", {
  skip: Sandbox.missing() || (existsSync(systemdSysctl) ? false : `${systemdSysctl} is not installed`),
}, () => {
  let sandbox: Sandbox;
  before(async () => {
    sandbox = await Sandbox.open();
  });
  after(async () => sandbox[Symbol.asyncDispose]());

  const key = fc.constantFrom(
    "net.ipv4.tcp_keepalive_time",
    "net/ipv4/tcp_keepalive_time",
    "net.ipv4.tcp_keepalive_*",
    "net.ipv4.tcp_keepalive_t?me",
    "net.ipv4.tcp_keepalive_[a-t]ime",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.*",
    "net.*",
  );
  const value = fc.oneof(
    fc.integer({ min: 1, max: 250 }).map(String),
    fc.constantFrom("0x1f", "017", "8 # why"),
  );
  const line = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(key, value).map(([k, v]) => `${k} = ${v}`) },
    { weight: 1, arbitrary: key.map((k) => `-${k}`) },
    fc.constantFrom("# a comment", "", "; another", "nonsense"),
  );
  const path = fc.constantFrom(
    "/etc/sysctl.d/10-a.conf",
    "/etc/sysctl.d/90-z.conf",
    "/run/sysctl.d/10-a.conf",
    "/run/sysctl.d/50-m.conf",
    "/usr/lib/sysctl.d/50-m.conf",
    "/usr/lib/sysctl.d/95-zz.conf",
    "/etc/sysctl.d/99-not-a-conf.txt",
  );

  test("on the value that a boot gives, for any set of files", () => {
    const files = fc.uniqueArray(fc.tuple(path, fc.array(line, { maxLength: 4 })), {
      selector: ([where]) => where,
      maxLength: 4,
    });
    fc.assert(
      fc.property(files, (chosen) => {
        const write = chosen.map(([where, lines]) => `cat >${where} <<'END'\n${lines.join("\n")}\nEND`);
        // A glob of all of net.ipv4 also writes what decides nothing here; failures there are systemd-sysctl's to report.
        const held = sandbox.must(
          [
            "rm -f /etc/sysctl.d/* /run/sysctl.d/* /usr/lib/sysctl.d/*",
            "echo 7200 >/proc/sys/net/ipv4/tcp_keepalive_time",
            "mkdir -p /run/systemd/system",
            ...write,
            `${systemdSysctl} --prefix=/net/ipv4/tcp_keepalive_time >/dev/null 2>&1 || true`,
            "cat /proc/sys/net/ipv4/tcp_keepalive_time",
          ].join("\n"),
        );
        const shown = JSON.parse(sandbox.deadpeer("sysctl", "show", "--json").stdout) as [
          { values: { name: string; value: number; source: { kind: string; bootValue?: number } }[] },
        ];
        const source = shown[0].values.find((one) => one.name === name)?.source;
        assert.equal(shown[0].values.find((one) => one.name === name)?.value, Number(held));
        // Whatever the files say, it is what systemd wrote: so the value stands in a file, or no file sets it.
        assert.equal(source?.kind, chosen.length > 0 && source?.kind === "file" ? "file" : "default");
        if (source?.kind === "default") assert.equal(Number(held), 7_200);
      }),
      { numRuns: 25 },
    );
  });
});

test("numbers are read as the kernel reads them", () => {
  const cases: [string, number][] = [
    ["60", 60],
    [" 60 # why", 60],
    ["0x1f", 31],
    ["017", 15],
    ["0", 0],
    ["-1", -1],
  ];
  for (const [text, number] of cases) assert.equal(toNumber(text), number, text);
  for (const text of ["", "x", "# 60"]) assert.ok(Number.isNaN(toNumber(text)), text);
});
