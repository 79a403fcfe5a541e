import assert from "node:assert/strict";
import { type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Faults } from "../../src/lab/faults.js";
import { type Host, Network } from "../../src/lab/index.js";
import { missingServers } from "../support/servers.js";
import { Servers } from "./heartbeat/servers.js";
import { needsLab } from "./support.js";

interface Said {
  readonly at: number;
  readonly event: string;
  readonly name?: string;
  readonly [more: string]: unknown;
}

/** The program that holds and watches a connection of every kind, over both families. */
class Client {
  readonly said: Said[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  #errors = "";

  constructor(host: Host, server: Host) {
    const script = fileURLToPath(new URL("heartbeat/client.js", import.meta.url));
    const args = ["--enable-source-maps", script, server.address(4), server.address(6)];
    this.#child = host.spawn(process.execPath, args, { stdio: "pipe" });
    this.#child.stderr?.on("data", (text: Buffer) => (this.#errors += text.toString()));
    createInterface({ input: this.#child.stdout as NonNullable<ChildProcess["stdout"]> }).on(
      "line",
      (line) => {
        this.said.push(JSON.parse(line) as Said);
        for (const look of this.#waiting) look();
      },
    );
    this.#child.once("exit", () => {
      for (const look of this.#waiting) look();
    });
  }

  /** The connections it watches. */
  get names(): string[] {
    return (this.said.find(({ event }) => event === "watching")?.["names"] ?? []) as string[];
  }

  of(event: string): Said[] {
    return this.said.filter((one) => one.event === event);
  }

  /** The connections under suspicion. */
  suspected(): string[] {
    const since = (event: string, name: string): number =>
      this.of(event).findLast((one) => one.name === name)?.at ?? 0;
    return this.names.filter((name) => since("suspect", name) > since("recovered", name));
  }

  tell(word: string): void {
    this.#child.stdin?.write(`${word}\n`);
  }

  async until(what: string, holds: () => boolean, withinMs = 30_000): Promise<void> {
    const began = Date.now();
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle();
      };
      const fail = (why: string): void =>
        end(() =>
          reject(
            new Error(
              `${what}: ${why}\n${this.#errors}\n${JSON.stringify(this.suspected())}\n${JSON.stringify(this.of("verdict"))}`,
            ),
          ),
        );
      const look = (): void => {
        if (holds()) end(resolve);
        else if (this.#child.exitCode !== null) fail("the client has ended");
      };
      const timer = setTimeout(() => fail(`not after ${Date.now() - began} ms`), withinMs);
      this.#waiting.add(look);
      look();
    });
  }

  stop(): void {
    this.#child.kill("SIGSTOP");
  }

  goOn(): void {
    this.#child.kill("SIGCONT");
  }

  async end(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}

/** "demanding": silence, and unanswered beats; and what a busy machine may add. */
const budgetMs = 9_000;
const slackMs = 1_500;
/** These ask the peer's kernel, which outlives its programs. */
const byKernel = /pg, in|BLPOP|pace/;
/** Of these nobody gets at the socket, so nothing tells a dead host from a dead program. */
const withoutSocket = /messages|node-redis/;
const inOrder = (a: string, b: string): number => a.localeCompare(b);
const skip = needsLab || missingServers("mosquitto", "redis-server", "postgresql", "rabbitmq-server");

describe("adapters against real servers", { skip, timeout: 240_000 }, () => {
  let network: Network;
  let servers: Servers;
  let client: Client;

  before(async () => {
    network = await Network.create({ client: {}, server: {} });
    servers = await Servers.start(network.host("server"));
    client = await connected();
  });

  const connected = async (): Promise<Client> => {
    const client = new Client(network.host("client"), network.host("server"));
    await client.until("all are connected", () => client.of("connected").length > 0);
    return client;
  };

  after(async () => {
    await servers?.[Symbol.asyncDispose]();
    await network?.[Symbol.asyncDispose]();
  });

  test("an hour of normal traffic is quiet, and so is a longer while than the budget in which nothing happens", async () => {
    const hourly = await connected();
    hourly.tell("hour");
    client.tell("watch");
    await client.until("all are watched", () => client.names.length > 0);
    assert.equal(client.names.length, 28);
    // Each has to be heard in between.
    await sleep(budgetMs + slackMs);
    for (const event of ["verdict", "suspect", "end"]) assert.deepEqual(client.of(event), []);

    await hourly.until("the hour is over", () => hourly.of("hour over").length > 0);
    await hourly.end();
    const hours = hourly.of("hour");
    assert.equal(hours.length, 20);
    for (const { name, alarms, active, beats } of hours) {
      assert.deepEqual({ name, alarms, active }, { name, alarms: 0, active: true });
      // One in 22 s at most: idle less the phase's part. AMQP's are amqplib's own affair.
      if (!String(name).startsWith("amqp"))
        assert.ok(Number(beats) > 60 && Number(beats) <= 165, `${name}: ${String(beats)}`);
    }
  });

  test("a standstill of the watching side for longer than the budget is blamed on nobody", async () => {
    const paused = await connected();
    paused.tell("watch");
    await paused.until("all are watched", () => paused.names.length > 0);
    // Some have a question out by then.
    await sleep(4_000);
    paused.stop();
    await sleep(budgetMs + slackMs);
    paused.goOn();
    const goneOnAt = Date.now();
    // As long as anybody would need to be given up.
    await sleep(6_000);
    assert.deepEqual(paused.of("verdict"), []);
    // A broker does not wait so long for the client's own beats.
    for (const { name } of paused.of("end")) assert.match(String(name), /^amqp/);
    const heard = new Set(
      paused
        .of("answer")
        .filter(({ at }) => at > goneOnAt)
        .map(({ name }) => name),
    );
    assert.ok(heard.size > 0, "and goes on asking");
    await paused.end();
  });

  test("a server that pauses for less than the budget is forgiven", async () => {
    servers.hang();
    // Whoever was asked just before has three intervals, 4.5 s, to answer. On a busy machine each signal comes late, and so do the
    // answers of forty programs that wake up together: that is theirs, and must not look like a false alarm.
    await sleep(3_000);
    servers.goOn();
    assert.notDeepEqual(client.of("suspect"), []);
    await client.until("all are heard again", () => client.suspected().length === 0);
    for (const event of ["verdict", "end"]) assert.deepEqual(client.of(event), []);
  });

  test("a server whose programs hang is noticed by what asks programs, and by nothing else", async () => {
    const hungAt = Date.now();
    servers.hang();
    await sleep(budgetMs + slackMs);
    servers.goOn();
    const verdicts = client.of("verdict");
    assert.deepEqual(
      verdicts.map(({ name }) => String(name)).sort(inOrder),
      client.names.filter((name) => !byKernel.test(name)).sort(inOrder),
    );
    for (const { name, at, state } of verdicts) {
      assert.equal(state, "unresponsive", name);
      assert.ok(at - hungAt <= budgetMs + slackMs, `${name}: ${at - hungAt} ms`);
    }
    await client.end();
  });

  test("a server that is cut off is noticed within the budget by every adapter", async () => {
    const lost = await connected();
    lost.tell("watch");
    await lost.until("all are watched", () => lost.names.length > 0);
    const cutAt = Date.now();
    await new Faults(network, () => 0).drop({ between: ["client", "server"] });
    await lost.until("all are noticed", () => lost.of("verdict").length === lost.names.length);
    for (const { name, at, state } of lost.of("verdict")) {
      assert.equal(state, withoutSocket.test(String(name)) ? "unresponsive" : "silent", name);
      assert.ok(at - cutAt <= budgetMs + slackMs, `${name}: ${at - cutAt} ms`);
    }
    assert.deepEqual(lost.of("end"), []);
    await lost.end();
  });
});
