import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { detectionTimes, retransmissionTimeoutMs } from "../../../src/plan/model.js";
import { snippetFor } from "../../../src/plan/snippets/index.js";
import { cases, type Expected } from "./cases.js";
import { run, temporaryFolder, without } from "./programs.js";

const timeout = 60_000;

/** The net.ipv4 settings that a case must come to; only what the snippet sets. */
function wantedSysctls(
  settings: (typeof cases)[number]["settings"],
  { keepalive }: Expected,
): Record<string, number> {
  const wanted: Record<string, number> = {};
  if (keepalive !== null) {
    const [idleS, intervalS, count] = keepalive;
    wanted["net.ipv4.tcp_keepalive_time"] = idleS;
    wanted["net.ipv4.tcp_keepalive_intvl"] = intervalS;
    wanted["net.ipv4.tcp_keepalive_probes"] = count;
  }
  // By hand: 0.2 s x (2^(n+1) - 1) is 25.4 s for 6 and 51 s for 7; 12.6 s for 5, 6.2 s for 4.
  if (settings.userTimeoutMs === 35_000) wanted["net.ipv4.tcp_retries2"] = 6;
  if (settings.userTimeoutMs === 21_900) wanted["net.ipv4.tcp_retries2"] = 5;
  if (settings.userTimeoutMs === 12_345) wanted["net.ipv4.tcp_retries2"] = 4;
  return wanted;
}

test("sysctl -p takes the file, and a network namespace of its own then holds the values", {
  timeout,
  skip: without("sysctl", "unshare") || withoutNamespaces(),
}, async (t) => {
  const file = join(await temporaryFolder(t), "60-deadpeer.conf");
  for (const { name, settings, alone } of cases) {
    await writeFile(file, `${snippetFor("sysctl", settings).text}\n`);
    const wanted = wantedSysctls(settings, alone);
    const names = Object.keys(wanted);
    const read = names.length === 0 ? "true" : `sysctl -n ${names.join(" ")}`;
    const output = await run("unshare", ["--net", "sh", "-ec", `sysctl -q -p ${file}; ${read}`]);
    assert.deepEqual(output.trim().split("\n").filter(Boolean).map(Number), Object.values(wanted), name);
  }
});

test("tcp_retries2 is the largest whose time fits into the user timeout", () => {
  for (let userTimeoutMs = 600; userTimeoutMs < 30_000_000; userTimeoutMs = Math.floor(userTimeoutMs * 1.3)) {
    const { text } = snippetFor("sysctl", { keepalive: null, userTimeoutMs });
    const retries = Number(text.match(/tcp_retries2 = (\d+)/)?.[1]);
    assert.ok(retransmissionTimeoutMs(retries, 200, 120_000) <= userTimeoutMs, text);
    if (retries < 255) assert.ok(retransmissionTimeoutMs(retries + 1, 200, 120_000) > userTimeoutMs, text);
  }
});

test("sshd and ssh take the lines", { timeout, skip: without("sshd", "ssh", "ssh-keygen") }, async (t) => {
  const folder = await temporaryFolder(t);
  const key = join(folder, "key");
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  // sshd insists on it, and on its own full path.
  if (process.getuid?.() === 0) await mkdir("/run/sshd", { recursive: true });
  const sshd = (await run("sh", ["-c", "command -v sshd"])).trim();
  const config = join(folder, "config");
  for (const { name, settings } of cases) {
    const budgetMs = detectionTimes(settings).idleMs;
    // Intervals that one wait can take: what sshd and ssh of OpenSSH 9.2 were measured to do.
    for (const [target, side, waitIntervals, show] of [
      ["sshd", "clientalive", 2, [sshd, "-T", "-h", key, "-f", config]],
      ["ssh", "serveralive", 1, ["ssh", "-G", "-F", config, "example.invalid"]],
    ] as const) {
      await writeFile(config, `${snippetFor(target, settings).text}\n`);
      if (target === "sshd") await run(sshd, ["-t", "-h", key, "-f", config]);
      const [command, ...args] = show;
      const shown = new Map(
        (await run(command, args)).split("\n").map((line) => line.split(" ", 2) as [string, string]),
      );
      const intervalS = Number(shown.get(`${side}interval`));
      const count = Number(shown.get(`${side}countmax`));
      assert.equal(shown.get("tcpkeepalive"), budgetMs === null ? "no" : "yes", `${name}, ${target}`);
      if (budgetMs === null) assert.equal(intervalS, 0, `${name}, ${target}`);
      else {
        const withinMs = waitIntervals * intervalS * (count + 1) * 1_000;
        assert.ok(intervalS > 0 && withinMs <= budgetMs, `${name}, ${target}: ${withinMs}`);
        assert.ok(withinMs > budgetMs / 2, `${name}, ${target}: far sooner than asked, ${withinMs}`);
      }
    }
  }
});

test("systemd takes the unit without a complaint", {
  timeout,
  skip: without("systemd-analyze"),
}, async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "deadpeer-test.service"), "[Service]\nExecStart=/bin/true\n");
  const unit = join(folder, "deadpeer-test.socket");
  for (const { name, settings, alone } of cases) {
    const { text } = snippetFor("systemd", settings);
    await writeFile(unit, `${text}\nListenStream=127.0.0.1:1\n`);
    // An unknown or unreadable setting is only a warning to systemd-analyze, about this unit's own path.
    const complaints = (await run("systemd-analyze", ["verify", unit])).split("\n");
    assert.deepEqual(
      complaints.filter((line) => line.includes("deadpeer-test")),
      [],
      name,
    );
    const value = (key: string): string | undefined => text.match(new RegExp(`^${key}=(.*)$`, "m"))?.[1];
    assert.equal(value("KeepAlive"), alone.keepalive === null ? "no" : "yes", name);
    const times = ["KeepAliveTimeSec", "KeepAliveIntervalSec", "KeepAliveProbes"].map(value);
    assert.deepEqual(times, alone.keepalive?.map(String) ?? [undefined, undefined, undefined], name);
  }
});

test("the YAML of docker, kubernetes and envoy means what it should", {
  timeout,
  skip: without("python3") || withoutYaml(),
}, () => {
  for (const { name, settings, full, alone } of cases) {
    const wanted = wantedSysctls(settings, alone);
    const something = Object.keys(wanted).length > 0;
    assert.deepEqual(
      yaml(snippetFor("docker", settings).text),
      something ? { services: { app: { sysctls: wanted } } } : null,
      `${name}, docker`,
    );
    const sysctls = Object.entries(wanted).map(([name, value]) => ({ name, value: String(value) }));
    assert.deepEqual(
      yaml(snippetFor("kubernetes", settings).text),
      something ? { spec: { securityContext: { sysctls } } } : null,
      `${name}, kubernetes`,
    );
    assert.deepEqual(yaml(snippetFor("envoy", settings).text), wantedEnvoy(full), `${name}, envoy`);
  }
});

function wantedEnvoy({ keepalive, userTimeoutMs }: Expected): object {
  const userTimeout = userTimeoutMs === 0 ? [] : [option("TCP_USER_TIMEOUT", 6, 18, userTimeoutMs)];
  const cluster = userTimeoutMs === 0 ? {} : { upstream_bind_config: { socket_options: userTimeout } };
  if (keepalive === null)
    return { socket_options: [option("SO_KEEPALIVE", 1, 9, 0), ...userTimeout], ...cluster };
  const [idleS, intervalS, count] = keepalive;
  return {
    socket_options: [
      option("SO_KEEPALIVE", 1, 9, 1),
      option("TCP_KEEPIDLE", 6, 4, idleS),
      option("TCP_KEEPINTVL", 6, 5, intervalS),
      option("TCP_KEEPCNT", 6, 6, count),
      ...userTimeout,
    ],
    upstream_connection_options: {
      tcp_keepalive: { keepalive_time: idleS, keepalive_interval: intervalS, keepalive_probes: count },
    },
    ...cluster,
  };
}

function option(description: string, level: number, name: number, value: number): object {
  return { description, level, name, int_value: value, state: "STATE_PREBIND" };
}

/** Stand-ins for what only those systems' headers have; they make gcc check the rest. */
const standIns: Record<string, { folder: string[]; macros: string[] }> = {
  macos: {
    folder: [],
    macros: ["TCP_KEEPALIVE=0x10", "TCP_RXT_CONNDROPTIME=0x80"],
  },
  windows: {
    folder: ["winsock2.h", "ws2tcpip.h"],
    macros: [
      "TCP_MAXRT=5",
      "SOCKET=int",
      "TCP_KEEPIDLE=3",
      "TCP_KEEPINTVL=17",
      "TCP_KEEPCNT=16",
      "IPPROTO_TCP=6",
    ],
  },
};

test("the C for macOS and Windows compiles against stand-ins", {
  timeout,
  skip: without("gcc"),
}, async (t) => {
  for (const [target, { folder: headers, macros }] of Object.entries(standIns)) {
    const folder = await temporaryFolder(t);
    for (const header of headers)
      await writeFile(
        join(folder, header),
        "#pragma once\n#define SOL_SOCKET 0xffff\n#define SO_KEEPALIVE 8\nint setsockopt(SOCKET, int, int, const char *, int);\n",
      );
    const defines = macros.map((macro) => `-D${macro}`);
    for (const [index, { settings }] of cases.entries()) {
      const file = join(folder, `case${index}.c`);
      await writeFile(
        file,
        `${snippetFor(target, settings).text}\nint main(void) { return notice_dead_peer(0); }\n`,
      );
      await run("gcc", ["-Wall", "-Wextra", "-Werror", "-fsyntax-only", `-I${folder}`, ...defines, file]);
    }
  }
});

function withoutNamespaces(): string | false {
  return spawnSync("unshare", ["--net", "true"]).status === 0
    ? false
    : "CAP_SYS_ADMIN is missing: no namespace";
}

function withoutYaml(): string | false {
  return spawnSync("python3", ["-c", "import yaml"]).status === 0 ? false : "not installed: python3-yaml";
}

function yaml(text: string): unknown {
  const { stdout } = spawnSync(
    "python3",
    ["-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"],
    { input: text, encoding: "utf8" },
  );
  return JSON.parse(stdout);
}
