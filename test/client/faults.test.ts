import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Hosts, needsNamespaces } from "../support/namespaces.js";
import { until } from "../support/until.js";

interface Told {
  readonly at: number;
  readonly event: string;
  readonly way?: string;
  readonly sentence?: string;
  readonly state?: string;
  readonly resumed?: boolean;
  readonly ms?: number;
}

/** Noticed within 2.25 to 2.5 s. */
const detect = { idle: "1s", interval: "500ms", count: 3 };
const withinMs = 2_500;
/** For a process that is not given the processor (for more than a second, and its peers have another round), and its lines to arrive. */
const slackMs = 3_000;
const ways = ["tcp 4", "tcp 6", "tls 4", "tls 6", "udp 4", "udp 6", "udp 4 from tls"];

/** A program on a host, and what it has told. */
class Teller implements Disposable {
  readonly told: Told[] = [];
  readonly process: ChildProcess;

  constructor(namespace: string, name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const program = fileURLToPath(new URL(`programs/${name}.js`, import.meta.url));
    this.process = spawn("ip", ["netns", "exec", namespace, process.execPath, program, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    createInterface({ input: this.process.stdout as NonNullable<ChildProcess["stdout"]> }).on(
      "line",
      (line) => this.told.push(JSON.parse(line) as Told),
    );
  }

  /** Those of one kind, since a moment. */
  since(at: number, event: string): Told[] {
    return this.told.filter((told) => told.event === event && told.at >= at);
  }

  /** `ip netns exec` becomes the program: it is the same process. */
  stop(): void {
    this.process.kill("SIGSTOP");
  }

  go(): void {
    this.process.kill("SIGCONT");
  }

  [Symbol.dispose](): void {
    this.process.kill("SIGKILL");
  }
}
/** `NAT_SECONDS=45 npm test -- client/faults` takes some minutes more. */
const natSeconds = Number(process.env["NAT_SECONDS"] ?? 4);
const patienceMs = 30_000 * natSeconds;
const quickLearning = { floor: "1s", ceiling: "30s", resolution: "500ms", belowMs: 700 };
const slowLearning = { floor: "10s", ceiling: "10m", belowMs: 3_000 };

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Two hosts, a server on the far one, and what a scenario does to them. */
class Stage implements Disposable {
  readonly #hosts = new Hosts();
  readonly #others: ChildProcess[] = [];
  #server: Teller | null = null;
  #client: Teller | null = null;

  get server(): Teller {
    return this.#server as Teller;
  }

  get client(): Teller {
    return this.#client as Teller;
  }

  /** A new server, in place of any that was there. */
  async serve(how: object = detect): Promise<void> {
    this.#server?.[Symbol.dispose]();
    this.#server = new Teller(this.#hosts.name("far"), "beating-server", [JSON.stringify(how)]);
    await until(() => this.server.since(0, "ready").length === 1);
  }

  /** A new client, in place of any that was there. */
  async connect(
    options: object = { detect },
    { expected = ways, env = {} }: { expected?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
  ): Promise<void> {
    this.#client?.[Symbol.dispose]();
    const addresses = [this.#hosts.address("far", 4), this.#hosts.address("far", 6)];
    const only = { ONLY_WAYS: expected.join() };
    this.#client = new Teller(
      this.#hosts.name("near"),
      "beating-client",
      [...addresses, JSON.stringify(options)],
      { ...only, ...env },
    );
    await until(() => this.server.since(0, "session").length === expected.length);
    assert.deepEqual(new Set(this.server.since(0, "session").map(({ way }) => way)), new Set(expected));
  }

  router(...args: readonly string[]): void {
    const { status, stderr } = spawnSync("ip", ["netns", "exec", this.#hosts.name("router"), ...args], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
  }

  /** A program in front of the server, once it has said something. */
  async front(program: string): Promise<void> {
    const args = ["netns", "exec", this.#hosts.name("far"), process.execPath, "-e", program];
    const child = spawn("ip", args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#others.push(child);
    await new Promise((resolve) => child.stdout.once("data", resolve));
  }

  /** All of them were noticed by `who` in time. */
  async assertNoticed(who: Teller, faultAt: number, expected: readonly string[] = ways): Promise<void> {
    const noticed = (): Map<string, Told> =>
      new Map(
        who
          .since(faultAt, "offline")
          .toReversed()
          .map((told) => [told.way ?? "", told]),
      );
    await until(() => noticed().size >= expected.length);
    assert.deepEqual(new Set(noticed().keys()), new Set(expected));
    for (const [way, { at, sentence }] of noticed())
      assert.ok(at - faultAt <= withinMs + slackMs, `${way}: ${at - faultAt} ms, ${sentence}`);
  }

  assertQuiet(since = 0): void {
    assert.deepEqual(this.client.since(since, "offline"), []);
    assert.deepEqual(this.server.since(since, "offline"), []);
  }

  /** A NAT of the kernel's own, which forgets after so many seconds and drops what it does not know. */
  nat(seconds: number): void {
    this.router("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0");
    for (const kind of ["tcp_timeout_established", "udp_timeout", "udp_timeout_stream"])
      this.router("sysctl", "-qw", `net.netfilter.nf_conntrack_${kind}=${seconds}`);
    this.router("nft", "add table inet nat");
    this.router("nft", "add chain inet nat post { type nat hook postrouting priority 100; }");
    this.router("nft", "add rule inet nat post iifname near oifname far masquerade");
    this.router("nft", "add chain inet nat forward { type filter hook forward priority -10; }");
    this.router("nft", "add rule inet nat forward ct state invalid drop");
    // Nothing comes in that the inside has not begun, as with any NAT.
    this.router("nft", "add rule inet nat forward iifname far ct state new drop");
  }

  [Symbol.dispose](): void {
    this.#client?.[Symbol.dispose]();
    this.#server?.[Symbol.dispose]();
    for (const child of this.#others) child.kill("SIGKILL");
    this.#hosts[Symbol.dispose]();
  }
}

async function staged(): Promise<Stage> {
  const stage = new Stage();
  try {
    await stage.serve();
    return stage;
  } catch (error) {
    stage[Symbol.dispose]();
    throw error;
  }
}

// They mostly wait: the longest begin first, and the others find their place beside them.
describe("long connections of all kinds between two hosts", {
  skip: needsNamespaces,
  concurrency: 4,
  timeout: 120_000 + patienceMs,
}, () => {
  test(`the adaptive interval finds a NAT of ${natSeconds} s, and beats just often enough for it`, async () => {
    using stage = await staged();
    stage.nat(natSeconds);
    const folder = mkdtempSync(join(tmpdir(), "deadpeer-adaptive-"));
    const learning = natSeconds < 10 ? quickLearning : slowLearning;
    try {
      await stage.connect(
        { detect: { idle: "1s", interval: "300ms", count: 2 }, adaptive: learning },
        { expected: ["tcp 4"], env: { XDG_STATE_HOME: folder } },
      );
      const settledMs = 2_500 * natSeconds;
      const settled = (): boolean => {
        const lately = stage.client.since(Date.now() - settledMs, "interval").map(({ ms }) => ms);
        return (
          // Told twice a second.
          lately.length >= (settledMs / 500) * 0.9 &&
          lately.every((ms) => ms === lately[0]) &&
          stage.client.since(Date.now() - settledMs, "offline").length === 0
        );
      };
      await until(settled, patienceMs);
      const ms = stage.client.since(0, "interval").at(-1)?.ms ?? 0;
      assert.ok(ms < natSeconds * 1_000 && ms >= natSeconds * 1_000 - learning.belowMs, `${ms} ms`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("a NAT that forgets: beats often enough keep it, and without them the loss is noticed in time", async () => {
    using stage = await staged();
    stage.nat(3);
    await stage.connect();
    await sleep(8_000);
    stage.assertQuiet();
    stage.client[Symbol.dispose]();
    const at = Date.now();
    await stage.assertNoticed(stage.server, at);
    // Now the client beats too seldom: the first beat after the silence is not answered any more.
    const seldom = { idle: "5s", interval: "500ms", count: 3 };
    await stage.serve({ ...seldom, idle: "20s" });
    await stage.connect({ detect: seldom });
    const silentFrom = Date.now();
    const streams = ways.filter((way) => !way.startsWith("udp"));
    await until(() => stage.client.since(silentFrom, "offline").length >= streams.length);
    const noticed = stage.client.since(silentFrom, "offline");
    // Datagrams simply make the NAT remember anew.
    assert.deepEqual(new Set(noticed.map(({ way }) => way)), new Set(streams));
    for (const { way, at: noticedAt } of noticed.slice(0, streams.length))
      assert.ok(noticedAt - silentFrom <= 6_500 + slackMs, `${way}: ${noticedAt - silentFrom} ms`);
  });

  test("both sides stopped for longer than the budget, together: nobody is blamed", async () => {
    using stage = await staged();
    await stage.connect();
    await sleep(1_000);
    stage.client.stop();
    stage.server.stop();
    await sleep(8_000);
    stage.server.go();
    stage.client.go();
    await sleep(5_000);
    stage.assertQuiet();
  });

  test("a path that flaps for shorter than the budget raises no alarm", async () => {
    using stage = await staged();
    await stage.connect();
    for (let n = 0; n < 6; n++) {
      stage.router("nft", "add rule inet path forward drop");
      await sleep(600);
      stage.router("nft", "flush chain inet path forward");
      await sleep(1_500);
    }
    stage.assertQuiet();
  });

  test("a server that is stopped is noticed, one that goes on is come back to", async () => {
    using stage = await staged();
    const { server } = stage;
    await stage.connect();
    const { client } = stage;
    await sleep(4_000);
    stage.assertQuiet();
    const at = Date.now();
    server.stop();
    await stage.assertNoticed(client, at);
    for (const { state, way } of client.since(at, "offline"))
      assert.ok(state === "unresponsive" || way?.startsWith("udp") === true, `${way}: ${state}`);
    server.go();
    const backAt = Date.now();
    await until(() => new Set(client.since(backAt, "online").map(({ way }) => way)).size === ways.length);
    assert.ok(client.since(backAt, "online").every(({ resumed }) => resumed));
  });

  test("a client that is stopped is noticed by the server, which has not forgotten it afterwards", async () => {
    using stage = await staged();
    await stage.connect();
    const at = Date.now();
    stage.client.stop();
    await stage.assertNoticed(stage.server, at);
    stage.client.go();
    const backAt = Date.now();
    await until(() => stage.server.since(backAt, "resumed").length >= ways.length);
  });

  for (const [what, way] of [
    ["to the server", "iifname near oifname far"],
    ["to the client", "iifname far oifname near"],
  ] as const)
    test(`a path that is lost only on the way ${what} is noticed by both`, async () => {
      using stage = await staged();
      await stage.connect();
      const at = Date.now();
      stage.router("nft", `add rule inet path forward ${way} drop`);
      await Promise.all([stage.assertNoticed(stage.client, at), stage.assertNoticed(stage.server, at)]);
    });

  test("proxies between keep the connections up; a server that is stopped behind them is noticed all the same", async () => {
    using stage = await staged();
    await stage.front(proxyProgram);
    const proxied = ["tcp 4 by proxy", "tls 4 by proxy", "udp 4 by proxy"];
    await stage.connect({ detect }, { expected: proxied });
    await sleep(3_000);
    stage.assertQuiet();
    const at = Date.now();
    stage.server.stop();
    await stage.assertNoticed(stage.client, at, proxied);
    for (const { state } of stage.client.since(at, "offline")) assert.equal(state, "unresponsive");
  });
});

/** Ends TCP on both sides, and passes datagrams on, as proxies and load balancers do. */
const proxyProgram = `
  const net = require("node:net");
  const { createSocket } = require("node:dgram");
  const proxy = (from, to) => new Promise((resolve) => net.createServer((near) => {
    const far = net.connect(to, "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on("error", () => {}).on("close", () => { near.destroy(); far.destroy(); });
  }).listen(from, "0.0.0.0", resolve));
  const door = createSocket("udp4");
  const behind = new Map();
  door.on("message", (datagram, { address, port }) => {
    const client = address + " " + port;
    if (!behind.has(client)) {
      const far = createSocket("udp4").on("message", (answer) => door.send(answer, port, address));
      behind.set(client, far);
    }
    behind.get(client).send(datagram, 7445, "127.0.0.1");
  });
  Promise.all([proxy(7500, 7443), proxy(7501, 7444), new Promise((resolve) => door.bind(7502, resolve))])
    .then(() => console.log("ready"));
`;
