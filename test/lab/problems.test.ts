import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import * as fc from "fast-check";
import { DeadpeerError } from "../../src/errors.js";
import { builtinScenarios, findScenario, parseScenario, scenarioNames } from "../../src/lab/scenario/load.js";

/** A scenario that is in order, as a file holds it. */
function good(): Json {
  return {
    name: "mine",
    title: "t",
    outcome: "o",
    hosts: { client: {}, server: {} },
    programs: {
      server: { host: "server", listen: { port: 7000, as: "quiet" } },
      client: {
        host: "client",
        connect: { main: { to: "server", port: 7000, settings: { idle: "1s", interval: "1s", count: 3 } } },
      },
    },
    steps: [
      { at: "500ms", name: "cut", drop: { between: ["client", "server"] } },
      { at: "1s", heal: { fault: "cut" } },
    ],
    lasts: "2s",
    expect: [{ verdict: { program: "client", state: "silent" }, since: "cut" }],
  };
}

interface Json {
  [key: string]: unknown;
}

/** The value at a path of good(), replaced; undefined takes it away. */
function broken(path: readonly (string | number)[], value: unknown): Json {
  const scenario = good();
  let at: Record<string | number, unknown> = scenario;
  for (const part of path.slice(0, -1)) at = at[part] as Record<string | number, unknown>;
  const last = path.at(-1) as string | number;
  if (value === undefined) delete at[last];
  else at[last] = value;
  return scenario;
}

function problemOf(json: unknown): string {
  try {
    parseScenario(json, "mine.json");
  } catch (error) {
    assert.ok(error instanceof DeadpeerError, String(error));
    assert.equal(error.code, "bad-scenario");
    assert.doesNotMatch(error.message, /\n/);
    return error.message;
  }
  return "nothing";
}

test("a scenario in order is taken as it is, its durations in milliseconds", () => {
  const scenario = parseScenario(good(), "mine.json");
  assert.equal(scenario.lasts, 2_000);
  assert.equal(scenario.steps[0]?.at, 500);
});

/** Where it is wrong, and what the message has to say about it. */
const mistakes: readonly [path: readonly (string | number)[], value: unknown, said: readonly string[]][] = [
  [["tilte"], "x", ["$.tilte", 'did you mean "title"?']],
  [["title"], undefined, ["$.title", "is missing"]],
  [["title"], 7, ["$.title", "has to be a string", "7"]],
  [["hosts"], undefined, ["$.hosts", "is missing"]],
  [["hosts", "Server"], {}, ["$.hosts.Server", "letters"]],
  [["hosts", "router"], {}, ["$.hosts.router", "has a router already"]],
  [["hosts", "client", "sysctl"], {}, ["$.hosts.client.sysctl", 'did you mean "sysctls"?']],
  [["lasts"], "2", ["$.lasts", '"2"', "has a unit"]],
  [["lasts"], 2, ["$.lasts", "has to be a string"]],
  [["families"], [5], ["$.families[0]", "has to be"]],
  [
    ["programs", "server", "host"],
    "sever",
    ["$.programs.server.host", 'no host is called "sever"', 'did you mean "server"?'],
  ],
  [["programs", "server", "listen"], undefined, ["$.programs.server", "nothing to do"]],
  [["programs", "server", "listen", "as"], "eccho", ["$.programs.server.listen.as", 'did you mean "echo"?']],
  [["programs", "server", "listen", "port"], 70_000, ["$.programs.server.listen.port", "65535"]],
  [["programs", "server", "listen", "port"], "7000", ["$.programs.server.listen.port", "has to be a number"]],
  [["programs", "server", "command"], ["nc"], ["$.programs.server", "command and listen"]],
  [
    ["programs", "client", "connect", "main", "settings", "count"],
    undefined,
    ["$.programs.client.connect.main.settings", "idle, interval and count"],
  ],
  [
    ["programs", "client", "connect", "main", "settings", "idel"],
    "1s",
    ["settings.idel", 'did you mean "idle"?'],
  ],
  [["steps", 0], { at: "1s" }, ["$.steps[0]", "says nothing to do"]],
  [["steps", 0], "drop", ["$.steps[0]", "object"]],
  [["steps", 0], { at: "1s", dorp: { from: "client" } }, ["$.steps[0].dorp", 'did you mean "drop"?']],
  [
    ["steps", 0],
    { at: "1s", drop: { from: "client" }, crash: { host: "client" } },
    ["$.steps[0]", "only one of them"],
  ],
  [["steps", 0, "drop", "between", 1], "sever", ["$.steps[0].drop.between[1]", 'did you mean "server"?']],
  [["steps", 0, "drop", "form"], "client", ["$.steps[0].drop.form", 'did you mean "from"?']],
  [["steps", 0, "drop", "share"], 0, ["$.steps[0].drop.share"]],
  [["steps", 0, "drop"], {}, ["$.steps[0]", "which packets"]],
  [["steps", 0, "at"], undefined, ["$.steps[0].at", "is missing"]],
  [["steps", 1, "at"], "100ms", ["$.steps[1].at", "in order"]],
  [["steps", 1, "at"], "9s", ["$.steps[1].at", "after the end"]],
  [["steps", 1, "heal", "fault"], "cutt", ["$.steps[1].heal.fault", 'did you mean "cut"?']],
  [
    ["steps", 1],
    { at: "1s", kill: { program: "sever" } },
    ["$.steps[1].kill.program", 'no program is called "sever"', 'did you mean "server"?'],
  ],
  [
    ["steps", 1],
    { at: "1s", write: { program: "client", connection: "mian", text: "x" } },
    ["$.steps[1].write.connection", 'did you mean "main"?'],
  ],
  [
    ["steps", 1],
    { at: "1s", reject: { to: "server", with: "host-unreachabel" } },
    ["$.steps[1].reject.with", 'did you mean "host-unreachable"?'],
  ],
  [
    ["steps", 1],
    { at: "1s", crash: { host: "clinet" } },
    ["$.steps[1].crash.host", 'did you mean "client"?'],
  ],
  [["expect"], [], ["$.expect"]],
  [["expect", 0, "since"], "cutt", ["$.expect[0].since", 'did you mean "cut"?']],
  [
    ["expect", 0, "between"],
    ["2s", "1s"],
    ["$.expect[0].between", "ends before it begins"],
  ],
  [["expect", 0, "count"], "three", ["$.expect[0].count"]],
  [["expect", 0, "verdict", "state"], "dead", ["$.expect[0].verdict.state", "silent"]],
  [
    ["expect", 0],
    { wire: { kind: "keep-alive", from: "sever" } },
    ["$.expect[0].wire.from", 'did you mean "server"?'],
  ],
  [["expect", 0], { wire: { kind: "keepalive" } }, ["$.expect[0].wire.kind", 'did you mean "keep-alive"?']],
  [
    ["expect", 0],
    { sockets: { host: "client", state: "ESTABLISHD" } },
    ["$.expect[0].sockets.state", 'did you mean "ESTABLISHED"?'],
  ],
  [["nat"], { inside: ["client"], forgotten: "drop" }, ["$.nat", "give one of them"]],
  [["nat"], { inside: ["me"], idle: "2s", forgotten: "drop" }, ["$.nat.inside[0]", 'no host is called "me"']],
  [["subject"], "mian", ["$.subject", 'did you mean "main"?']],
  [["capture"], ["clinet"], ["$.capture[0]", 'did you mean "client"?']],
];

describe("a scenario that is wrong is refused in one line that says where and what is allowed", () => {
  for (const [path, value, said] of mistakes)
    test(`${path.join(".")}: ${JSON.stringify(value)}`, () => {
      const message = problemOf(broken(path, value));
      for (const part of ["mine.json: ", ...said])
        assert.ok(message.includes(part), `"${message}" lacks "${part}"`);
    });

  for (const json of [null, 7, "text", [], {}])
    test(`${JSON.stringify(json)} is no scenario`, () => {
      assert.match(problemOf(json), /^mine\.json: \$/);
    });

  test("whatever stands at whatever place: one line, never anything else", () => {
    const paths = mistakes.map(([path]) => path);
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
        let scenario: Json;
        try {
          scenario = broken(path, value);
        } catch {
          return;
        }
        problemOf(scenario);
      }),
    );
  });
});

describe("scenario files", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "deadpeer-scenarios-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  test("those that come with deadpeer are in order, and each is called as its file", () => {
    const scenarios = builtinScenarios();
    assert.deepEqual(
      scenarios.map(({ name }) => name),
      scenarioNames(),
    );
    assert.equal(new Set(scenarioNames()).size, scenarios.length);
    assert.ok(scenarios.length >= 20);
  });

  test("one's own is found by its path, one that is not there is not found", () => {
    const file = join(folder, "mine.json");
    writeFileSync(file, JSON.stringify(good()));
    assert.equal(findScenario(file).name, "mine");
    assert.throws(() => findScenario(join(folder, "yours.json")), {
      code: "bad-scenario",
      message: /ENOENT/,
    });
    assert.throws(() => findScenario("cut-of"), {
      code: "unknown-scenario",
      message: /did you mean "cut-off"\?/,
    });
  });

  test("what is not JSON is refused with the place", () => {
    const file = join(folder, "broken.json");
    writeFileSync(file, '{\n  "name": "mine",\n  oops\n}\n');
    assert.throws(() => findScenario(file), { code: "bad-scenario", message: /broken\.json:3: is not JSON/ });
  });
});

test("a command cannot be told what only the lab's own programs understand", () => {
  const scenario = broken(["programs", "client"], { host: "client", command: ["nc", "{server}", "7000"] });
  scenario["steps"] = [
    { at: "0s", stop: { program: "client" } },
    { at: "1s", write: { program: "client", text: "hello" } },
  ];
  scenario["expect"] = [{ program: { program: "client", event: "exit" } }];
  assert.match(problemOf(scenario), /\$\.steps\[1\]\.write\.program: "client" is a command/);
});
