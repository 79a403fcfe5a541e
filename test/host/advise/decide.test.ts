import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Advice, decide } from "../../../src/host/advise/decide.js";
import type { ProgramFacts } from "../../../src/host/advise/facts.js";
import { knownPrograms } from "../../../src/host/advise/known-programs.js";
import type { Way } from "../../../src/host/advise/way.js";
import type { PolicyRequest } from "../../../src/host/policy/request.js";
import { planDetection } from "../../../src/plan/planner.js";
import type { SettingsChange } from "../../../src/plan/settings.js";

const { settings } = planDetection({ detectWithin: "35s" });
const request = { words: ["--detect", "35s"], settings, change: settings, within: "35s" };
const known = (id: string): ProgramFacts["program"]["known"] =>
  knownPrograms.find((one) => one.id === id) ?? null;

const nobody: ProgramFacts = {
  pid: 4711,
  uid: 0,
  isForeign: false,
  processName: "app",
  program: { name: "app", known: null, script: null, target: "c", inSource: true },
  executable: { path: "/srv/app", deleted: false },
  elf: { linking: "dynamic", interpreter: "/lib64/ld-linux-x86-64.so.2", libc: "glibc", language: null },
  family: [4711],
  residence: { service: null, userService: null, session: null, container: null },
  cgroup: { path: "/", isRoot: true, others: 100, policy: null },
  netns: null,
  command: { words: ["./app", "two words"], folder: "/srv" },
  connections: {
    total: 3,
    withinHost: 0,
    unprotected: 2,
    slow: 1,
    unread: 0,
    shared: 0,
    listeningPorts: [],
    services: [],
  },
  hidesConnections: false,
  unseen: [],
};
const redis: Partial<ProgramFacts> = {
  program: { name: "redis-server", known: known("redis"), script: null, target: "redis", inSource: false },
  residence: { ...nobody.residence, service: "redis-server.service" },
  cgroup: { path: "/system.slice/redis-server.service", isRoot: false, others: 0, policy: null },
};
const id = "ab".repeat(32);

function withPolicy(held: SettingsChange, more: Partial<PolicyRequest> = {}): ProgramFacts["cgroup"] {
  return { path: "/x", isRoot: false, others: 2, policy: { id: 17, settings: held, ...more } };
}

function advise(more: Partial<ProgramFacts>): Advice {
  return decide({ ...nobody, ...more }, request);
}

function commandOf(advice: Advice, kind: Way["kind"]): string | undefined {
  return advice.ways.find((way) => way.kind === kind)?.commands[0];
}

function setCommand(more: Partial<ProgramFacts>): string | undefined {
  return commandOf(advise(more), "set");
}

describe("which ways, in which order", () => {
  for (const [what, facts, kinds] of [
    ["a known server that is a service", redis, ["configuration", "policy", "set"]],
    ["a binary of nobody's that somebody started", {}, ["run", "set", "watch", "library"]],
    ["one whose command is not known", { command: null }, ["set", "watch", "library"]],
    [
      "in a container, which sees its own cgroup as the root",
      { cgroup: { path: "/", isRoot: false, others: 3, policy: null }, command: null },
      ["policy", "set", "library"],
    ],
    ["one without cgroup v2", { cgroup: null }, ["set", "watch", "library"]],
    [
      "a script",
      {
        program: {
          name: "node (app.js)",
          known: known("node"),
          script: "app.js",
          target: "node",
          inSource: true,
        },
      },
      ["source", "run", "set", "watch"],
    ],
    [
      "a runtime without lines",
      {
        ...redis,
        program: { name: "ruby", known: known("ruby"), script: "app.rb", target: null, inSource: true },
      },
      ["policy", "set"],
    ],
    [
      "a service without connections",
      { ...redis, connections: { ...nobody.connections, total: 0, unprotected: 0, slow: 0 } },
      ["configuration", "policy"],
    ],
  ] as const)
    test(what, () =>
      assert.deepEqual(
        advise(facts as Partial<ProgramFacts>).ways.map(({ kind }) => kind),
        kinds,
      ),
    );
});

describe("the commands", () => {
  test("of a service", () => {
    const advice = advise(redis);
    assert.equal(commandOf(advice, "configuration"), "deadpeer plan --detect 35s --for redis");
    assert.equal(
      commandOf(advice, "policy"),
      "deadpeer policy add --service redis-server.service --detect 35s",
    );
    assert.equal(commandOf(advice, "set"), "deadpeer set --pid 4711 --detect 35s");
  });

  test("quoted where a shell would read them otherwise", () => {
    const cgroup = { path: String.raw`/user.slice/a\x2db.scope`, isRoot: false, others: 0, policy: null };
    const advice = advise({ cgroup, command: { words: ["./app", "it's"], folder: "/two words" } });
    assert.equal(
      commandOf(advice, "policy"),
      String.raw`deadpeer policy add --cgroup '/user.slice/a\x2db.scope' --detect 35s`,
    );
    assert.equal(
      commandOf(advice, "run"),
      String.raw`cd '/two words' && deadpeer run --detect 35s -- ./app 'it'\''s'`,
    );
  });

  for (const [what, residence, words] of [
    ["docker", { container: { engine: "docker", id } }, ["--container", id]],
    ["a container of containerd's", { container: { engine: "containerd", id } }, ["--container", id]],
    ["lxc", { container: { engine: "lxc", id: "web" } }, ["--cgroup", "/x"]],
    [
      "a service within lxc",
      { container: { engine: "lxc", id: "web" }, service: "nginx.service" },
      ["--cgroup", "/x"],
    ],
    ["a user's unit", { userService: "app.service" }, ["--cgroup", "/x"]],
    ["a login", { session: "session-3.scope" }, ["--cgroup", "/x"]],
  ] as const)
    test(`a policy for ${what}`, () => {
      const advice = advise({
        residence: { ...nobody.residence, ...residence },
        cgroup: { path: "/x", isRoot: false, others: 0, policy: null },
      });
      assert.equal(commandOf(advice, "policy"), `deadpeer policy add ${words.join(" ")} --detect 35s`);
      const startedByOthers = "container" in residence || "userService" in residence;
      assert.equal(commandOf(advice, "run") === undefined, startedByOthers);
    });

  test("a policy that is there already is replaced, and named", () => {
    const advice = advise({ ...redis, cgroup: withPolicy({ userTimeoutMs: 9_000 }) });
    const policy = advice.ways.find(({ kind }) => kind === "policy");
    assert.equal(
      policy?.commands[0],
      "deadpeer policy add --service redis-server.service --replace --detect 35s",
    );
    assert.match(policy?.limits.join("\n") ?? "", /policy 17 already/);
    assert.match(policy?.limits.join("\n") ?? "", /2 other processes/);
  });

  test("a policy that holds already is not proposed anew: only what it came too late for", () => {
    const asPlanned = withPolicy(settings);
    const policyOf = (more: Partial<ProgramFacts>): Way | undefined =>
      advise({ ...redis, ...more }).ways.find(({ kind }) => kind === "policy");
    const late = policyOf({ cgroup: asPlanned });
    assert.deepEqual(late?.commands, ["deadpeer policy apply-existing --service redis-server.service"]);
    assert.match(late?.why ?? "", /^Policy 17 of its service, .* already; this sets those/);
    const none = { ...nobody.connections, total: 0 };
    const { ways, impossible } = advise({ ...redis, cgroup: asPlanned, connections: none });
    assert.ok(!ways.some(({ kind }) => kind === "policy"));
    assert.match(impossible.find(({ kind }) => kind === "policy")?.reason ?? "", /^policy 17 of .* already$/);
    // A filter, or --only-unset, leaves something out.
    for (const partly of [
      { onlyUnset: true },
      { ports: [443] },
      { remotes: [{ network: "::1", port: null }] },
    ])
      assert.match(policyOf({ cgroup: withPolicy(settings, partly) })?.commands[0] ?? "", /--replace/);
  });

  test("set: a family, its listeners, another network", () => {
    const listening = { ...nobody.connections, listeningPorts: [80, 443] };
    const netns = "/proc/4711/ns/net";
    const few = [4711, 4712];
    const many = Array.from({ length: 9 }, (_, index) => 4711 + index);
    assert.equal(setCommand({ connections: listening }), "deadpeer set --pid 4711 --listeners --detect 35s");
    assert.equal(
      setCommand({ family: few, netns }),
      `deadpeer set --pid 4711 --pid 4712 --netns ${netns} --detect 35s`,
    );
    assert.equal(setCommand({ family: many }), "deadpeer set --process app --detect 35s");
    assert.equal(
      setCommand({ ...redis, family: many, netns }),
      `deadpeer set --cgroup /system.slice/redis-server.service --netns ${netns} --detect 35s`,
    );
  });
});

describe("what is said", () => {
  test("of static binaries, that the kernel reaches them all the same", () => {
    const elf = { linking: "static", interpreter: null, libc: null, language: "go" } as const;
    const policy = advise({ ...redis, elf }).ways.find(({ kind }) => kind === "policy");
    assert.match(policy?.why ?? "", /It is static, as Go programs are: nothing could be preloaded/);
  });

  test("why there can be no policy", () => {
    assert.match(advise({}).impossible[0]?.reason ?? "", /whole machine/);
    assert.match(advise({ cgroup: null }).impossible[0]?.reason ?? "", /no cgroup v2/);
  });

  for (const [what, more, hides, sentence] of [
    [
      "unprotected and slow",
      {},
      false,
      "Of 3 connections 2 would never notice a dead peer, 1 would need longer than 35s.",
    ],
    [
      "all well",
      { unprotected: 0, slow: 0 },
      false,
      "All 3 connections notice a dead peer within 35s already; what follows is for those to come.",
    ],
    ["none", { total: 0 }, false, "It holds no TCP connection now; what follows is for those to come."],
    ["hidden", { total: 0 }, true, "What it holds may not be seen."],
    ["unread", { unread: 3 }, true, "What its connections are set to could not be read."],
  ] as const)
    test(what, () =>
      assert.equal(
        advise({ connections: { ...nobody.connections, ...more }, hidesConnections: hides }).finding,
        sentence,
      ),
    );
});
