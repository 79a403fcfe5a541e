import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parseFilter } from "../../../src/host/filter.js";
import { type Repair, repair } from "../../../src/host/repair/repair.js";
import { undoRepair } from "../../../src/host/repair/undo.js";
import { borrowSocket } from "../../../src/kernel/pidfd.js";
import { socketHolders } from "../../../src/kernel/processes.js";
import { listSockets } from "../../../src/kernel/sock-diag.js";
import { writeSettings } from "../../../src/kernel/socket-options.js";
import type { TcpState } from "../../../src/kernel/tcp-states.js";
import { type End, Hosts, needsNamespaces } from "../../support/namespaces.js";
import { type Options, PythonSockets } from "./python-sockets.js";

const change = { keepalive: { idleMs: 1_000, intervalMs: 1_000, count: 3 }, userTimeoutMs: 4_000 };
const asAsked: Options = [1, 1, 1, 3, 4_000];
const silenceMs = 5_000;

const ports = {
  alive4: 7_001,
  alive6: 7_002,
  lossy4: 7_003,
  lossy6: 7_004,
  control: 7_005,
  dead: 7_006,
  full: 7_007,
};
type Name = keyof typeof ports;
const names = Object.keys(ports) as Name[];

const serve = String.raw`
accepted = {}
listeners = []
for port in (${names.map((name) => ports[name]).join()}):
    l = S.socket(S.AF_INET6); l.setsockopt(S.SOL_SOCKET, S.SO_RCVBUF, 4096)
    l.setsockopt(S.IPPROTO_IPV6, S.IPV6_V6ONLY, 0); l.bind(("::", port)); l.listen()
    listeners.append(l)
def drain(s):
    s.settimeout(0.3)
    try:
        while s.recv(65536): pass
    except TimeoutError: return 0
`;

/**
 * Connections that have been silent for longer than the user timeout that they are about to get. Those to `lossy` and `control` lose
 * every probe for a while, that to `dead` for ever; `full` is not silent, but its peer keeps the window closed.
 */
describe("connections that new settings could end", { skip: needsNamespaces, timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-careful-"));
  let hosts: Hosts | undefined;
  let near: PythonSockets | undefined;
  let far: PythonSockets | undefined;
  let done: Repair | undefined;
  let tookMs = 0;
  let patience = 0;
  const states = new Map<Name, TcpState>();
  const options = new Map<Name, Options>();

  function nearSockets(): Map<Name, { cookie: bigint; inode: number; state: TcpState }> {
    const sockets = listSockets({}, near?.namespace);
    return new Map(
      names.flatMap((name) => {
        const socket = sockets.find(({ remote }) => remote.port === ports[name]);
        return socket === undefined ? [] : [[name, socket] as const];
      }),
    );
  }

  function mend(asked: readonly Name[]): Promise<Repair> {
    return repair({
      filter: parseFilter({ remote: asked.map((name) => `*:${ports[name]}`) }),
      namespaces: near === undefined ? [] : [near.namespace],
      change,
      folder,
      onPatience: (peers) => (patience = peers),
    });
  }

  before(async () => {
    hosts = new Hosts();
    const within = (end: End): [string, ...string[]] => ["ip", "netns", "exec", hosts?.name(end) ?? ""];
    far = await PythonSockets.hold(serve, within("far"));
    const address = (name: Name): string => hosts?.address("far", name.endsWith("6") ? 6 : 4) ?? "";
    near = await PythonSockets.hold(
      `${names
        .map((name) => `kept.append(S.create_connection(("${address(name)}", ${ports[name]})))`)
        .join("\n")}
full = kept[${names.indexOf("full")}]; full.setblocking(False)
try:
    while True: full.send(bytes(65536))
except BlockingIOError: pass
full.setblocking(True)`,
      within("near"),
    );
    await far.ask("[accepted.update({l.getsockname()[1]: l.accept()[0]}) for l in listeners] and 0");
    await sleep(silenceMs);
    for (const name of ["lossy4", "lossy6", "control", "dead"] as const) hosts.cut(ports[name]);
    const control = nearSockets().get("control");
    assert.ok(control);
    const [holder] = socketHolders({ pids: [near.pid] }).holders.get(control.inode) ?? [];
    assert.ok(holder);
    using borrowed = borrowSocket(holder.pid, holder.fd, control.cookie);
    writeSettings(borrowed.fd, change);
    borrowed.close();

    const startedAt = performance.now();
    const repaired = mend(names.filter((name) => name !== "control"));
    await sleep(1_600);
    hosts.heal();
    hosts.cut(ports.dead);
    done = await repaired;
    tookMs = performance.now() - startedAt;
    await sleep(3_000);
    for (const [name, { state }] of nearSockets()) states.set(name, state);
    for (const [index, held] of (await near.options()).entries()) options.set(names[index] as Name, held);
  });

  after(async () => {
    await near?.[Symbol.asyncDispose]();
    await far?.[Symbol.asyncDispose]();
    hosts?.[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });

  function outcomeOf(name: Name): string | undefined {
    return done?.connections.find(({ connection }) => connection.remote.port === ports[name])?.outcome;
  }

  test("would have ended with the first probe lost, had all been set at once", () => {
    assert.equal(states.get("control"), undefined);
  });

  for (const name of ["alive4", "alive6", "lossy4", "lossy6"] as const)
    test(`${name}: lives, under all that was asked for`, () => {
      assert.equal(outcomeOf(name), "changed");
      assert.equal(states.get(name), "ESTABLISHED");
      assert.deepEqual(options.get(name), asAsked);
    });

  test("dead: is given up after as many probes as were asked for", () => {
    assert.equal(outcomeOf("dead"), "withheld");
    assert.equal(states.get("dead"), undefined);
  });

  test("full: lives, without the user timeout", () => {
    assert.equal(outcomeOf("full"), "withheld");
    assert.match(
      done?.connections.find(({ connection }) => connection.remote.port === ports.full)?.reason ?? "",
      /window/,
    );
    assert.equal(states.get("full"), "ESTABLISHED");
    assert.deepEqual(options.get("full"), [1, 1, 1, 3, 0]);
  });

  test("are waited for as long as the settings give a peer", () => {
    assert.ok(patience >= 2, `${patience} were waited for`);
    assert.ok(tookMs > 2_900 && tookMs < 5_000, `${tookMs} ms`);
  });

  test("full: gets the user timeout when its peer reads, and all of them can be put back", async () => {
    await far?.ask(`drain(accepted[${ports.full}])`);
    const again = await mend(["full"]);
    assert.deepEqual(
      again.connections.map(({ outcome }) => outcome),
      ["changed"],
    );
    assert.deepEqual((await near?.options())?.[names.indexOf("full")], asAsked);
    await undoRepair({ folder });
    const undone = await undoRepair({ folder });
    assert.equal(undone?.left, 0);
    for (const name of ["alive4", "alive6", "lossy4", "lossy6", "full"] as const)
      assert.deepEqual((await near?.options())?.[names.indexOf(name)], [0, 7_200, 75, 9, 0], name);
  });
});
