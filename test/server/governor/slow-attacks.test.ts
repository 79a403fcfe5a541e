import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, get, type Server } from "node:http";
import { type AddressInfo, isIPv6 } from "node:net";
import { after, before, describe, test } from "node:test";
import { type GovernorPolicy, governServer } from "../../../src/server/index.js";
import { needsNamespaces } from "../../support/namespaces.js";
import { enterOwnNetwork } from "../../support/own-network.js";
import { missingPrograms } from "../../support/programs.js";
import { until } from "../../support/until.js";

/** What a server can hold: stands for its open files and its memory, which take longer to fill. */
const capacity = 60;
/** Of each attacker, over each family. */
const attackersEach = 100;
/** More than the kernel's send and receive buffers take for somebody who reads nothing. */
const large = Buffer.alloc(16 << 20, "a");
/** For so long an attack goes on with well-behaved clients beside it. */
const attackMs = 4_000;

/** Where the attackers come from, and those who behave. */
const bad = { 4: "127.0.0.1", 6: "::1" } as const;
const good = ["127.0.0.2", "fd77:1::1"] as const;

interface Attack {
  readonly name: string;
  readonly options: readonly string[];
  readonly path: string;
}

const attacks: readonly Attack[] = [
  { name: "slow headers (-H)", options: ["-H", "-i", "1"], path: "/" },
  { name: "slow body (-B)", options: ["-B", "-i", "1", "-s", "8192", "-x", "10"], path: "/" },
  { name: "many ranges (-R)", options: ["-R", "-a", "1", "-b", "300"], path: "/ranges" },
  { name: "slow read (-X)", options: ["-X", "-w", "1", "-y", "1", "-n", "1", "-z", "8"], path: "/large" },
];

/** Holds as many connections as it can. */
async function serve(policy: GovernorPolicy | null): Promise<Server & AsyncDisposable> {
  const server = createServer((request, response) => {
    if (request.url === "/large") response.end(large);
    // Every range is a part that has to be fetched from somewhere slow.
    else if (request.headers.range !== undefined)
      setTimeout(() => response.end(), 10 * request.headers.range.split(",").length);
    else request.resume().on("end", () => response.end("ok"));
  });
  server.maxConnections = capacity;
  const governor = policy === null ? null : governServer(server, policy);
  server.listen({ port: 0, host: "::" });
  await once(server, "listening");
  return Object.assign(server, {
    async [Symbol.asyncDispose]() {
      governor?.close();
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  });
}

/** slowhttptest over one family, again and again until it is disposed of: some modes are over as soon as they have been answered. */
class Attacker implements AsyncDisposable {
  readonly #command: readonly string[];
  #running: ChildProcess | null = null;
  #stopped = false;
  readonly #ended: Promise<void>;

  constructor(attack: Attack, host: string, port: number) {
    const more = ["-c", String(attackersEach), "-r", String(attackersEach), "-l", "60", "-p", "1"];
    this.#command = [...attack.options, ...more, "-u", `http://${host}:${port}${attack.path}`];
    this.#ended = this.#attack();
  }

  /** This attack is not followed by another. */
  last(): void {
    this.#stopped = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#running?.kill("SIGKILL");
    await this.#ended;
  }

  async #attack(): Promise<void> {
    while (!this.#stopped) {
      this.#running = spawn("slowhttptest", [...this.#command], { stdio: "ignore" });
      await once(this.#running, "exit");
    }
  }
}

/** Does something while attackers are at work over both families. */
async function during(
  attack: Attack,
  port: number,
  work: (attackers: Attacker[]) => Promise<void>,
): Promise<void> {
  await using over4 = new Attacker(attack, bad[4], port);
  await using over6 = new Attacker(attack, `[${bad[6]}]`, port);
  await work([over4, over6]);
}

/** A client that behaves, on a connection of its own; what it got, or why it got nothing. */
function ask(port: number, from: string): Promise<string> {
  const host = isIPv6(from) ? bad[6] : bad[4];
  return new Promise((resolve) => {
    const request = get({ port, host, localAddress: from, agent: false, timeout: 5_000 }, (response) => {
      let body = "";
      response.on("data", (chunk) => (body += String(chunk))).on("end", () => resolve(body));
      response.on("error", (error) => resolve(error.message));
    });
    request.on("timeout", () => request.destroy(new Error("no answer within 5 s")));
    request.on("error", (error) => resolve(error.message));
  });
}

async function connectionsOf(server: Server): Promise<number> {
  return await new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
  );
}

async function untilHeld(server: Server, count: number): Promise<void> {
  while ((await connectionsOf(server)) < count) await aMoment();
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** Clients ask again and again while an attack goes on, and get what they ask for. */
async function servedThroughout(port: number, clients: readonly string[]): Promise<void> {
  const endMs = performance.now() + attackMs;
  while (performance.now() < endMs) {
    const answers = await Promise.all(clients.map((from) => ask(port, from)));
    for (const [index, answer] of answers.entries()) assert.equal(answer, "ok", clients[index]);
    await aMoment();
  }
}

const aMoment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

describe("slowhttptest over IPv4 and IPv6", {
  timeout: 120_000,
  skip: needsNamespaces || missingPrograms("slowhttptest"),
}, () => {
  let network: Disposable;
  before(() => {
    network = enterOwnNetwork([good[1]]);
  });
  after(() => network[Symbol.dispose]());

  for (const attack of attacks) {
    test(`${attack.name}: without a governor clients that behave are not served`, async () => {
      await using server = await serve(null);
      const port = portOf(server);
      for (const from of good) assert.equal(await ask(port, from), "ok");
      await during(attack, port, async () => {
        await untilHeld(server, capacity);
        const answers = await Promise.all([...good, ...good].map((from) => ask(port, from)));
        assert.ok(!answers.includes("ok"), String(answers));
      });
    });

    test(`${attack.name}: with a limit for each client they are served throughout`, async () => {
      await using server = await serve({ perClient: 20 });
      const port = portOf(server);
      await during(attack, port, async () => {
        await untilHeld(server, 2 * 20);
        await servedThroughout(port, good);
        assert.ok((await connectionsOf(server)) <= 2 * 20 + good.length);
      });
    });
  }

  // Nothing tells these clients from the attacker: only what he does can be held against him.
  for (const attack of attacks.filter(({ path }) => path !== "/ranges"))
    test(`${attack.name}: from the attacker's own addresses they are served again when the times are over`, async () => {
      const limits = { head: "1s", body: { bytesPerSecond: 500, window: "1s" }, total: capacity - 10 };
      await using server = await serve(limits);
      const port = portOf(server);
      await during(attack, port, async (attackers) => {
        await untilHeld(server, limits.total);
        for (const attacker of attackers) attacker.last();
        for (const from of Object.values(bad)) while ((await ask(port, from)) !== "ok") await aMoment();
        while ((await connectionsOf(server)) > 0) await aMoment();
      });
    });

  test("slow headers from the attacker's own addresses: who asks for nothing makes room, and they are served throughout", async () => {
    await using server = await serve({ total: capacity - 10, atLimit: "evict" });
    const port = portOf(server);
    const [slowHeaders] = attacks;
    assert.ok(slowHeaders !== undefined);
    let came = 0;
    server.on("connection", () => came++);
    await during(slowHeaders, port, async (attackers) => {
      for (const attacker of attackers) attacker.last();
      // Before all are there, one that has just come may have to make room before it has asked.
      await until(() => came >= 2 * attackersEach);
      await servedThroughout(port, Object.values(bad));
    });
  });
});
