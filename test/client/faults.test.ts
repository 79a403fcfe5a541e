import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, test } from "node:test";
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

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe("long connections of all kinds between two hosts", {
  skip: needsNamespaces,
  timeout: 240_000,
}, () => {
  let hosts: Hosts;
  let server: Teller;
  let client: Teller;

  beforeEach(async () => {
    hosts = new Hosts();
    server = new Teller(hosts.name("far"), "beating-server", [JSON.stringify(detect)]);
    await until(() => server.since(0, "ready").length === 1);
  });
  afterEach(() => {
    client[Symbol.dispose]();
    server[Symbol.dispose]();
    hosts[Symbol.dispose]();
  });

  async function connect(
    options: object = { detect },
    expected = ways,
    env: NodeJS.ProcessEnv = {},
  ): Promise<void> {
    const addresses = [hosts.address("far", 4), hosts.address("far", 6)];
    client = new Teller(
      hosts.name("near"),
      "beating-client",
      [...addresses, "7443", JSON.stringify(options)],
      env,
    );
    await until(() => server.since(0, "session").length === expected.length);
    assert.deepEqual(new Set(server.since(0, "session").map(({ way }) => way)), new Set(expected));
  }

  function router(...args: readonly string[]): void {
    const { status, stderr } = spawnSync("ip", ["netns", "exec", hosts.name("router"), ...args], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
  }

  /** All of them were noticed by `who` in time, and none before the fault. */
  async function assertNoticed(who: Teller, faultAt: number, expected = ways): Promise<void> {
    await until(() => who.since(faultAt, "offline").length >= expected.length);
    const noticed = new Map(
      who
        .since(faultAt, "offline")
        .toReversed()
        .map((told) => [told.way ?? "", told]),
    );
    assert.deepEqual(new Set(noticed.keys()), new Set(expected));
    for (const [way, { at, sentence }] of noticed)
      assert.ok(at - faultAt <= withinMs + slackMs, `${way}: ${at - faultAt} ms, ${sentence}`);
  }

  function assertQuiet(since = 0): void {
    assert.deepEqual(client.since(since, "offline"), []);
    assert.deepEqual(server.since(since, "offline"), []);
  }

  test("a server that is stopped is noticed, one that goes on is come back to", async () => {
    await connect();
    await sleep(4_000);
    assertQuiet();
    const at = Date.now();
    server.stop();
    await assertNoticed(client, at);
    for (const { state, way } of client.since(at, "offline"))
      assert.ok(state === "unresponsive" || way?.startsWith("udp") === true, `${way}: ${state}`);
    server.go();
    const backAt = Date.now();
    await until(() => new Set(client.since(backAt, "online").map(({ way }) => way)).size === ways.length);
    assert.ok(client.since(backAt, "online").every(({ resumed }) => resumed));
  });

  test("a client that is stopped is noticed by the server, which has not forgotten it afterwards", async () => {
    await connect();
    const at = Date.now();
    client.stop();
    await assertNoticed(server, at);
    client.go();
    const backAt = Date.now();
    await until(() => server.since(backAt, "resumed").length >= ways.length);
  });

  for (const [what, way] of [
    ["to the server", "iifname near oifname far"],
    ["to the client", "iifname far oifname near"],
  ] as const)
    test(`a path that is lost only on the way ${what} is noticed by both`, async () => {
      await connect();
      const at = Date.now();
      router("nft", `add rule inet path forward ${way} drop`);
      await Promise.all([assertNoticed(client, at), assertNoticed(server, at)]);
    });

  test("a path that flaps for shorter than the budget raises no alarm", async () => {
    await connect();
    for (let n = 0; n < 6; n++) {
      router("nft", "add rule inet path forward drop");
      await sleep(600);
      router("nft", "flush chain inet path forward");
      await sleep(1_500);
    }
    assertQuiet();
  });

  test("both sides stopped for longer than the budget, together: nobody is blamed", async () => {
    await connect();
    await sleep(1_000);
    client.stop();
    server.stop();
    await sleep(8_000);
    server.go();
    client.go();
    await sleep(5_000);
    assertQuiet();
  });

  test("a proxy between keeps the connection up; a server that is stopped behind it is noticed all the same", async () => {
    const proxy = spawn(
      "ip",
      ["netns", "exec", hosts.name("far"), process.execPath, "-e"].concat(proxyProgram),
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    try {
      await new Promise((resolve) => proxy.stdout.once("data", resolve));
      client = new Teller(
        hosts.name("near"),
        "beating-client",
        [hosts.address("far", 4), hosts.address("far", 6), "7500", JSON.stringify({ detect })],
        { ONLY_WAY: "tcp 4" },
      );
      await until(() => server.since(0, "session").length === 1);
      await sleep(3_000);
      assertQuiet();
      const at = Date.now();
      server.stop();
      await assertNoticed(client, at, ["tcp 4"]);
      assert.equal(client.since(at, "offline")[0]?.state, "unresponsive");
    } finally {
      proxy.kill("SIGKILL");
    }
  });

  /** A NAT of the kernel's own, which forgets after so many seconds and drops what it does not know. */
  function nat(seconds: number): void {
    router("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0");
    for (const kind of ["tcp_timeout_established", "udp_timeout", "udp_timeout_stream"])
      router("sysctl", "-qw", `net.netfilter.nf_conntrack_${kind}=${seconds}`);
    router("nft", "add table inet nat");
    router("nft", "add chain inet nat post { type nat hook postrouting priority 100; }");
    router("nft", "add rule inet nat post iifname near oifname far masquerade");
    router("nft", "add chain inet nat forward { type filter hook forward priority -10; }");
    router("nft", "add rule inet nat forward ct state invalid drop");
    // Nothing comes in that the inside has not begun, as with any NAT.
    router("nft", "add rule inet nat forward iifname far ct state new drop");
  }

  test("a NAT that forgets: beats often enough keep it, and without them the loss is noticed in time", async () => {
    nat(3);
    await connect();
    await sleep(8_000);
    assertQuiet();
    client[Symbol.dispose]();
    const at = Date.now();
    await assertNoticed(server, at);
    // Now the client beats too seldom: the first beat after the silence is not answered any more.
    const seldom = { idle: "5s", interval: "500ms", count: 3 };
    server[Symbol.dispose]();
    server = new Teller(hosts.name("far"), "beating-server", [JSON.stringify({ ...seldom, idle: "20s" })]);
    await until(() => server.since(0, "ready").length === 1);
    await connect({ detect: seldom });
    const silentFrom = Date.now();
    const streams = ways.filter((way) => !way.startsWith("udp"));
    await until(() => client.since(silentFrom, "offline").length >= streams.length);
    const noticed = client.since(silentFrom, "offline");
    // Datagrams simply make the NAT remember anew.
    assert.deepEqual(new Set(noticed.map(({ way }) => way)), new Set(streams));
    for (const { way, at: noticedAt } of noticed.slice(0, streams.length))
      assert.ok(noticedAt - silentFrom <= 6_500 + slackMs, `${way}: ${noticedAt - silentFrom} ms`);
  });

  test("the adaptive interval finds a NAT of 4 s, and beats just often enough for it", async () => {
    nat(4);
    const folder = mkdtempSync(join(tmpdir(), "deadpeer-adaptive-"));
    try {
      await connect(
        {
          detect: { idle: "1s", interval: "300ms", count: 2 },
          adaptive: { floor: "1s", ceiling: "30s", resolution: "500ms" },
        },
        ["tcp 4"],
        { ONLY_WAY: "tcp 4", XDG_STATE_HOME: folder },
      );
      const last = (): number => client.since(0, "interval").at(-1)?.ms ?? 0;
      const settled = (): boolean => {
        const lately = client.since(Date.now() - 20_000, "interval").map(({ ms }) => ms);
        return (
          lately.length >= 35 &&
          lately.every((ms) => ms === lately[0]) &&
          client.since(Date.now() - 20_000, "offline").length === 0
        );
      };
      await until(settled, 120_000);
      assert.ok(last() < 4_000 && last() >= 3_300, `${last()} ms`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

const proxyProgram = `
  const net = require("node:net");
  net.createServer((near) => {
    const far = net.connect(7443, "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on("error", () => {}).on("close", () => { near.destroy(); far.destroy(); });
  }).listen(7500, "0.0.0.0", () => console.log("ready"));
`;
