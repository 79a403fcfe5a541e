import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type FilterOptions, parseFilter } from "../../../src/host/filter.js";
import { type Candidates, candidates, Ending, killConnections } from "../../../src/host/kill/kill.js";
import { listSockets } from "../../../src/kernel/sock-diag.js";
import { needsRoot } from "../../kernel/support.js";
import { type End, Hosts, needsNamespaces } from "../../support/namespaces.js";
import { PythonSockets } from "../repair/python-sockets.js";

/** Cut off: those whose name says so. What is idle or answers for its closed window lives. */
const ports = {
  idle4: 7_101,
  idle6: 7_102,
  probedAlive: 7_103,
  fullAlive: 7_104,
  sendingCut4: 7_105,
  sendingCut6: 7_106,
  probedCut: 7_107,
  fullCut: 7_108,
  closingCut: 7_109,
  idleCut: 7_110,
};
type Name = keyof typeof ports;
const names = Object.keys(ports) as Name[];
const cutOff = names.filter((name) => name.includes("Cut"));
/** What has asked its peer something since the cut. */
const silent: readonly Name[] = ["sendingCut4", "sendingCut6", "probedCut", "fullCut", "closingCut"];

const serve = `
accepted = {}
listeners = []
for port in (${names.map((name) => ports[name]).join()}):
    l = S.socket(S.AF_INET6); l.setsockopt(S.SOL_SOCKET, S.SO_RCVBUF, 4096)
    l.setsockopt(S.IPPROTO_IPV6, S.IPV6_V6ONLY, 0); l.bind(("::", port)); l.listen()
    listeners.append(l)
`;

function namesOf({ connections }: Candidates): Name[] {
  return names.filter((name) => connections.some(({ connection }) => connection.remote.port === ports[name]));
}

describe("connections whose peer has been silent", { skip: needsNamespaces, timeout: 60_000 }, () => {
  let hosts: Hosts | undefined;
  let near: PythonSockets | undefined;
  let far: PythonSockets | undefined;
  let cutAt = 0;

  before(async () => {
    hosts = new Hosts();
    const within = (end: End): [string, ...string[]] => ["ip", "netns", "exec", hosts?.name(end) ?? ""];
    far = await PythonSockets.hold(serve, within("far"));
    const address = (name: Name): string => hosts?.address("far", name.endsWith("6") ? 6 : 4) ?? "";
    near = await PythonSockets.hold(
      `c = {}
def fill(s):
    s.setblocking(False)
    try:
        while True: s.send(bytes(65536))
    except BlockingIOError: s.setblocking(True)
def ended(name):
    try: return c[name].recv(1) and "data"
    except OSError as error: return error.errno
${names.map((name) => `c["${name}"] = S.create_connection(("${address(name)}", ${ports[name]}))`).join("\n")}
for name in ("probedAlive", "probedCut"):
    for o in ((1, 9, 1), (6, 4, 1), (6, 5, 1), (6, 6, 60)): c[name].setsockopt(*o)
fill(c["fullAlive"]); fill(c["fullCut"])`,
      within("near"),
    );
    await far.ask("[accepted.update({l.getsockname()[1]: l.accept()[0]}) for l in listeners] and 0");
    await sleep(3_000);
    for (const name of cutOff) hosts.cut(ports[name]);
    cutAt = performance.now();
    await near.ask(
      `[c["sendingCut4"].send(b"x"), c["sendingCut6"].send(b"x"), c["closingCut"].shutdown(1)] and 0`,
    );
    await sleep(7_000);
  });

  after(async () => {
    await near?.[Symbol.asyncDispose]();
    await far?.[Symbol.asyncDispose]();
    hosts?.[Symbol.dispose]();
  });

  function found(silentForMs?: number, filters: FilterOptions = {}): Candidates {
    return candidates({
      filter: parseFilter({ pid: [String(near?.pid)], ...filters }),
      namespaces: near === undefined ? [] : [near.namespace],
      ...(silentForMs === undefined ? {} : { silentForMs }),
    });
  }

  test("are those that have asked it something and were not answered", () => {
    assert.deepEqual(namesOf(found()), names);
    assert.deepEqual(namesOf(found(2_000)), silent);
  });

  test("have been so for a time that is never too long", () => {
    for (const { connection, unanswered } of found(1).connections) {
      const sinceCutMs = performance.now() - cutAt;
      const name = names.find((one) => ports[one] === connection.remote.port);
      assert.ok(unanswered !== null && name !== undefined);
      assert.ok(unanswered.forMs <= sinceCutMs + 50, `${name}: ${unanswered.forMs} of ${sinceCutMs} ms`);
      // A first probe may come a second after the cut, and the window's after the last one was answered.
      assert.ok(unanswered.forMs >= sinceCutMs / 4, `${name}: ${unanswered.forMs} of ${sinceCutMs} ms`);
    }
    assert.deepEqual(namesOf(found(60_000)), []);
  });

  test("are ended, and the others are not", async () => {
    const listed = found(2_000);
    const ends = new Set(listed.connections.map(({ connection }) => connection.remote.port));
    using ending = new Ending(listed.connections, 2_000);
    const outcomes = (await ending.run()).map(({ outcome }) => outcome);
    assert.deepEqual(outcomes, Array(silent.length).fill("ended"));
    const established = listSockets({ states: ["ESTABLISHED"] }, near?.namespace);
    const left = new Set(established.map(({ remote }) => remote.port));
    assert.deepEqual(
      names.filter((name) => left.has(ports[name])),
      names.filter((name) => !ends.has(ports[name])),
    );
    // ECONNABORTED.
    for (const name of ["sendingCut4", "sendingCut6", "probedCut"])
      assert.equal(await near?.ask(`ended("${name}")`), 103);
  });

  test("are left alone if their peer answers between list and end", async () => {
    await near?.ask(`c["idleCut"].send(b"x")`);
    await sleep(2_500);
    const listed = found(1_000);
    assert.deepEqual(namesOf(listed), ["idleCut"]);
    hosts?.heal();
    const deadline = performance.now() + 10_000;
    while (namesOf(found(1)).length > 0 && performance.now() < deadline) await sleep(50);
    using ending = new Ending(listed.connections, 1_000);
    assert.deepEqual(
      (await ending.run()).map(({ outcome }) => outcome),
      ["answered"],
    );
    assert.equal(await far?.ask(`accepted[${ports.idleCut}].recv(9).decode()`), "x");
  });
});

describe("connections that are to be ended", { skip: needsRoot }, () => {
  test("get ECONNABORTED, their peer a reset, over both families, in another namespace", async () => {
    await using python = await PythonSockets.hold(String.raw`
l4, c4, a4 = pair(); l6, c6, a6 = pair(S.AF_INET6, "::1")
def ended(s):
    s.settimeout(5)
    try: return s.recv(1) and "data"
    except OSError as error: return error.errno
`);
    const { port } = { port: (await python.ask("l4.getsockname()[1]")) as number };
    const port6 = (await python.ask("l6.getsockname()[1]")) as number;
    const outcome = await killConnections({
      filter: parseFilter({ remote: [`*:${port}`, `*:${port6}`] }),
      namespaces: [python.namespace],
    });
    assert.deepEqual(
      outcome.map((one) => one.outcome),
      ["ended", "ended"],
    );
    assert.deepEqual(await python.ask("[ended(s) for s in (c4, c6, a4, a6)]"), [103, 103, 104, 104]);
  });

  test("are not ended once another has their ends", async () => {
    await using python = await PythonSockets.hold(String.raw`
l, c, a = pair()
def again():
    global c, a
    end = c.getsockname()
    a.setsockopt(1, 13, bytes([1, 0, 0, 0, 0, 0, 0, 0])); a.close(); c.close()
    c = S.socket(); c.setsockopt(1, 2, 1); c.bind(end); c.connect(l.getsockname()); a = l.accept()[0]
    return end
`);
    const filter = parseFilter({ pid: [String(python.pid)] });
    const listed = candidates({ filter, namespaces: [python.namespace] });
    assert.equal(listed.connections.length, 2);
    await python.ask("again()");
    using ending = new Ending(listed.connections);
    assert.deepEqual(
      (await ending.run()).map(({ outcome }) => outcome),
      ["gone", "gone"],
    );
    assert.equal(await python.ask("[c.send(b'x'), a.recv(1).decode()][1]"), "x");
  });

  test("must be named, and TIME_WAIT by its state", async () => {
    await using python = await PythonSockets.hold(
      "l, c, a = pair(); c.close(); a.close(); port = l.getsockname()[1]",
    );
    const port = String(await python.ask("port"));
    const namespaces = [python.namespace];
    assert.throws(() => candidates({ namespaces }), { code: "bad-option" });
    assert.equal(candidates({ namespaces, filter: parseFilter({ port: [port] }) }).connections.length, 0);
    assert.equal(candidates({ namespaces, all: true }).connections.length, 0);
    const filter = parseFilter({ port: [port], state: ["time-wait"] });
    assert.equal(candidates({ namespaces, filter }).connections.length, 1);
    assert.deepEqual(
      (await killConnections({ namespaces, filter })).map(({ outcome }) => outcome),
      ["ended"],
    );
  });
});
