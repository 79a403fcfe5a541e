import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inNamespace } from "../../src/kernel/namespaces.js";
import { listSockets } from "../../src/kernel/sock-diag.js";
import { writeSysctl } from "../../src/kernel/sysctl.js";
import { startNat } from "../../src/lab/nat.js";
import { Network } from "../../src/lab/network.js";
import { nft } from "../../src/lab/tools.js";
import { needsLab } from "../lab/support.js";
import { cli } from "../support/checkout.js";

interface Figures {
  readonly survivedMs: number;
  readonly lostMs: number | null;
  readonly lossKind: string;
  readonly strayMs: readonly number[];
  readonly brokenOff: { readonly by: string; readonly afterMs: number } | null;
}

interface Ended {
  readonly status: number | null;
  readonly signal: string | null;
  readonly printed: Printed;
  readonly stderr: string;
}

interface Printed extends Figures {
  readonly complete: boolean;
  readonly problem: string | null;
  readonly server: string;
  readonly seenAs: { readonly address: string } | null;
  readonly proxied: boolean | null;
  readonly plan: { readonly settings: { readonly keepalive: { readonly idleMs: number } } } | null;
  readonly directions: { readonly client: Figures; readonly server: Figures | null };
}

/** Each on hosts of its own, all side by side: they mostly wait. */
describe("measuring how long a path remembers", { skip: needsLab, concurrency: true }, () => {
  for (const [family, idleMs, forgotten] of [
    [4, 5_000, "drop"],
    [6, 5_000, "rst"],
    [4, 9_000, "rst"],
    [6, 9_000, "drop"],
  ] as const)
    test(`a NAT that forgets after ${idleMs} ms, IPv${family}, ${forgotten}, from both ends`, async () => {
      await using lab = await Lab.make();
      await startNat(lab.network, { inside: ["client"], forgotten, idle: idleMs });
      await lab.serve("echo");
      const { status, printed, stderr } = await lab.nat(lab.server(family, 7007), "--max", "12s");
      assert.equal(status, 0, stderr);
      assert.equal(printed.server, "deadpeer-echo");
      assert.equal(printed.seenAs?.address, lab.network.host("server").gateway(family));
      assert.equal(printed.complete, true);
      for (const direction of [printed, printed.directions.client, printed.directions.server]) {
        assert.ok(direction !== null);
        assertBracket(direction, idleMs, 1_500);
        assert.equal(direction.lossKind, forgotten === "drop" ? "silent" : "reset");
      }
      assert.ok((printed.plan?.settings.keepalive.idleMs ?? Infinity) < idleMs);
    });

  test("a firewall that picks flows up in the middle: what the server says first is lost", async () => {
    await using lab = await Lab.make();
    await lab.firewall(4);
    await lab.serve("echo");
    const { status, printed, stderr } = await lab.nat(lab.server(6, 7007), "--max", "8s");
    assert.equal(status, 0, stderr);
    assert.equal(printed.seenAs, null);
    const { client, server } = printed.directions;
    assert.equal(client.lostMs, null);
    assert.equal(client.survivedMs >= 8_000, true);
    assert.ok(server !== null);
    assertBracket(server, 4_000, 1_500);
    assert.equal(printed.lostMs, server.lostMs);
    assert.equal(printed.survivedMs, server.survivedMs);
  });

  test("a server of another kind behind a NAT", async () => {
    await using lab = await Lab.make();
    await startNat(lab.network, { inside: ["client"], forgotten: "drop", idle: 5_000 });
    await lab.start(
      "redis-server",
      "--port",
      "6379",
      "--bind",
      "*",
      "--protected-mode",
      "no",
      "--tcp-keepalive",
      "0",
    );
    const { status, printed, stderr } = await lab.nat(lab.server(4, 6379), "--max", "12s");
    assert.equal(status, 0, stderr);
    assert.equal(printed.server, "other");
    assert.equal(printed.directions.server, null);
    assertBracket(printed, 5_000, 1_500);
    assert.equal(printed.lossKind, "silent");
  });

  test("a server's own keepalive ends the silence", async () => {
    await using lab = await Lab.make();
    await lab.start(
      "redis-server",
      "--port",
      "6379",
      "--bind",
      "*",
      "--protected-mode",
      "no",
      "--tcp-keepalive",
      "3",
    );
    const { status, printed, stderr } = await lab.nat(lab.server(4, 6379), "--max", "12s");
    assert.equal(status, 0, stderr);
    assert.equal(printed.brokenOff?.by, "spoken");
    assertNear(printed.survivedMs, 3_000, 600);
    assert.equal(printed.lossKind, "none");
    assert.equal(printed.lostMs, null);
  });

  test("a server that closes what is idle is no NAT", async () => {
    await using lab = await Lab.make();
    await lab.nginx("client_header_timeout 3s");
    const { status, printed, stderr } = await lab.nat(lab.server(6, 80), "--max", "12s");
    assert.equal(status, 0, stderr);
    assert.equal(printed.brokenOff?.by, "closed");
    assertNear(printed.brokenOff?.afterMs ?? 0, 3_000, 600);
    assertNear(printed.survivedMs, 3_000, 600);
    assert.equal(printed.lossKind, "none");
    assert.equal(printed.lostMs, null);
  });

  test("no box at all", async () => {
    await using lab = await Lab.make();
    await lab.nginx("client_header_timeout 60s");
    const { status, printed, stderr } = await lab.nat(lab.server(4, 80), "--max", "4s");
    assert.equal(status, 0, stderr);
    assert.deepEqual([printed.lossKind, printed.lostMs, printed.brokenOff], ["none", null, null]);
    assertNear(printed.survivedMs, 4_000, 300);
  });

  test("a proxy between is told from a router, and from the server", async () => {
    await using lab = await Lab.make();
    await lab.serve("echo", "--listen", "127.0.0.1");
    await lab.haproxy("9s");
    const { status, printed, stderr } = await lab.nat(lab.server(4, 80), "--max", "12s");
    assert.equal(status, 0, stderr);
    assert.equal(printed.proxied, true);
    assert.equal(printed.brokenOff?.by, "closed");
    assertNear(printed.brokenOff?.afterMs ?? 0, 9_000, 600);
  });

  test("an outage in between is not taken for forgetting", async () => {
    await using lab = await Lab.make();
    await startNat(lab.network, { inside: ["client"], forgotten: "drop", idle: 6_000 });
    await lab.serve("echo");
    const measuring = lab.nat(lab.server(4, 7007), "--max", "12s");
    await lab.begun();
    await sleep(1_500);
    await lab.cut();
    await sleep(8_000);
    await lab.heal();
    const { status, printed, stderr } = await measuring;
    assert.equal(status, 0, stderr);
    assertBracket(printed, 6_000, 1_500);
    assert.deepEqual(printed.strayMs, []);
  });

  test("a server whose program hangs for a while has not been forgotten", async () => {
    await using lab = await Lab.make();
    const echo = await lab.serve("echo");
    const measuring = lab.nat(lab.server(6, 7007), "--max", "8s");
    await lab.begun();
    await sleep(2_500);
    echo.kill("SIGSTOP");
    await sleep(9_000);
    echo.kill("SIGCONT");
    const { status, printed, stderr } = await measuring;
    assert.equal(status, 0, stderr);
    assert.deepEqual([printed.lossKind, printed.lostMs, printed.strayMs], ["none", null, []]);
  });

  test("a path that loses a tenth of the packets", async () => {
    await using lab = await Lab.make();
    await startNat(lab.network, { inside: ["client"], forgotten: "drop", idle: 6_000 });
    await lab.lose(10);
    await lab.serve("echo");
    const { status, printed, stderr } = await lab.nat(lab.server(4, 7007), "--max", "10s");
    assert.equal(status, 0, stderr);
    assertBracket(printed, 6_000, 2_000);
    // Unknown where what it is told by was among the lost.
    assert.notEqual(printed.proxied, true);
  });

  test("a path that stays down makes the measurement void, and what was known is printed", async () => {
    await using lab = await Lab.make();
    await lab.serve("echo");
    const measuring = lab.nat(lab.server(4, 7007), "--max", "60s");
    await lab.begun();
    await sleep(3_000);
    await lab.cut();
    const { status, printed, stderr } = await measuring;
    assert.equal(status, 3, stderr);
    assert.equal(printed.complete, false);
    assert.match(printed.problem ?? "", /has not been answered for 30s/);
    assert.match(stderr, /^deadpeer: the connection to .* has not been answered for 30s: .*\n$/m);
    assert.ok(printed.survivedMs >= 1_000);
    assert.equal(printed.lostMs, null);
  });

  for (const signal of ["SIGKILL", "SIGTERM"] as const)
    test(`a server that ends (${signal}) is not taken for one that closes what is idle`, async () => {
      await using lab = await Lab.make();
      const echo = await lab.serve("echo");
      const measuring = lab.nat(lab.server(4, 7007), "--max", "60s");
      await lab.begun();
      await sleep(3_000);
      echo.kill(signal);
      const { status, printed, stderr } = await measuring;
      assert.equal(status, 3, stderr);
      assert.deepEqual([printed.complete, printed.brokenOff, printed.lostMs], [false, null, null]);
    });

  test("Ctrl-C prints what is known, and ends as an interrupt does", async () => {
    await using lab = await Lab.make();
    await lab.serve("echo");
    const measuring = lab.nat(lab.server(6, 7007), "--max", "60s");
    const child = await lab.begun();
    await sleep(3_000);
    child.kill("SIGINT");
    const { status, signal, printed } = await measuring;
    assert.deepEqual([status, signal], [null, "SIGINT"]);
    assert.equal(printed.complete, false);
    assert.ok(printed.survivedMs >= 1_000 && printed.survivedMs <= 4_000, String(printed.survivedMs));
    assert.equal(printed.lostMs, null);
  });
});

function assertNear(actualMs: number, trueMs: number, toleranceMs: number): void {
  assert.ok(Math.abs(actualMs - trueMs) <= toleranceMs, `${actualMs} is not about ${trueMs}`);
}

function assertBracket({ survivedMs, lostMs }: Figures, trueMs: number, widthMs: number): void {
  const bracket = `${survivedMs} to ${lostMs}`;
  // The kernel's connection tracking counts in jiffies.
  assert.ok(survivedMs <= trueMs + 20 && (lostMs ?? 0) >= trueMs - 20, `${bracket} without ${trueMs}`);
  assert.ok((lostMs ?? Infinity) - survivedMs <= widthMs, `${bracket} is wide`);
}

/** A client, a router and a server. */
class Lab implements AsyncDisposable {
  readonly network: Network;
  readonly #folder = mkdtempSync(join(tmpdir(), "deadpeer-nat-test-"));
  #nat: ChildProcess | null = null;

  private constructor(network: Network) {
    this.network = network;
  }

  static async make(): Promise<Lab> {
    return new Lab(await Network.create({ client: {}, server: {} }));
  }

  server(family: 4 | 6, port: number): string {
    const address = this.network.host("server").address(family);
    return family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
  }

  /** Starts `deadpeer …` on the server and waits until it says that it is there. */
  async serve(...args: string[]): Promise<ChildProcess> {
    const child = this.network.host("server").spawn(process.execPath, [cli, ...args]);
    await once(child.stderr as NodeJS.ReadableStream, "data");
    return child;
  }

  /** Starts any server, and waits until something listens. */
  async start(command: string, ...args: string[]): Promise<void> {
    const host = this.network.host("server");
    host.spawn(command, args, { stdio: "ignore", cwd: this.#folder });
    while (!inNamespace(host.namespace, () => listSockets({ states: ["LISTEN"] })).some(isServer))
      await sleep(20);
  }

  nginx(setting: string): Promise<void> {
    const file = join(this.#folder, "nginx.conf");
    writeFileSync(
      file,
      `daemon off; error_log ${this.#folder}/error.log; pid ${this.#folder}/pid; events {}
      http { access_log off; ${setting}; server { listen 80; listen [::]:80; } }`,
    );
    return this.start("nginx", "-c", file, "-e", join(this.#folder, "error.log"));
  }

  /** In front of an echo server on the same host. */
  haproxy(idle: string): Promise<void> {
    const file = join(this.#folder, "haproxy.cfg");
    writeFileSync(
      file,
      `defaults
        mode tcp
        timeout connect 1s
        timeout client ${idle}
        timeout server ${idle}
      listen all
        bind :80
        server echo 127.0.0.1:7007\n`,
    );
    return this.start("haproxy", "-db", "-f", file);
  }

  /** A firewall of a short memory that translates nothing, on the router: what the client begins may pass. */
  async firewall(seconds: number): Promise<void> {
    const { router } = this.network;
    inNamespace(router.namespace, () => {
      writeSysctl("net.netfilter.nf_conntrack_tcp_loose", 1);
      writeSysctl("net.netfilter.nf_conntrack_tcp_timeout_established", seconds);
    });
    await nft(
      router.namespaceName,
      `table inet firewall {
        chain forward { type filter hook forward priority 0; policy drop;
          meta l4proto icmpv6 accept; ct state established accept; iifname "client" accept; }
      }`,
    );
  }

  async nat(...args: string[]): Promise<Ended> {
    const child = this.network.host("client").spawn(process.execPath, [cli, "nat", "--json", ...args]);
    this.#nat = child;
    const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => collected(stream));
    const [status, signal] = (await once(child, "close")) as [number | null, string | null];
    assert.ok(stdout !== undefined && stderr !== undefined && stdout.text !== "", stderr?.text);
    return { status, signal, printed: JSON.parse(stdout.text) as Printed, stderr: stderr.text };
  }

  /** Once `nat` has said what it is about to do. */
  async begun(): Promise<ChildProcess> {
    const child = this.#nat;
    assert.ok(child !== null);
    await once(child.stderr as NodeJS.ReadableStream, "data");
    return child;
  }

  async lose(percent: number): Promise<void> {
    await nft(
      this.network.router.namespaceName,
      `table inet loss {
        chain forward { type filter hook forward priority -20; numgen random mod 100 < ${percent} drop; }
      }`,
    );
  }

  async cut(): Promise<void> {
    await nft(
      this.network.router.namespaceName,
      "table inet cut {\nchain forward { type filter hook forward priority -20; policy drop; }\n}",
    );
  }

  async heal(): Promise<void> {
    await nft(this.network.router.namespaceName, "delete table inet cut");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.network[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }
}

function isServer({ local }: { readonly local: { readonly port: number } }): boolean {
  return local.port === 80 || local.port === 6379;
}

function collected(stream: NodeJS.ReadableStream | null): { text: string } {
  const all = { text: "" };
  stream?.on("data", (chunk: Buffer) => (all.text += chunk.toString()));
  return all;
}
