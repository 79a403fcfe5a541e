import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Explanation } from "../../src/capture/index.js";
import { cli } from "../support/checkout.js";
import { Sandbox } from "../support/sandbox.js";

const skip =
  Sandbox.missing() || (spawnSync("tcpdump", ["--version"]).error === undefined ? false : "needs tcpdump");

/** A connection on loopback: some data, an answer, and both ends closed in order. */
const talk = `
const { createServer, connect } = require("node:net");
const server = createServer((socket) => socket.pipe(socket)).listen(7040, "127.0.0.1", () => {
  const client = connect(7040, "127.0.0.1", () => client.end("hello"));
  client.resume().on("close", () => server.close());
});`;

describe("watching a network", { skip }, () => {
  let sandbox: Sandbox;
  let folder: string;
  before(async () => {
    sandbox = await Sandbox.open();
    folder = mkdtempSync(join(tmpdir(), "deadpeer-live-test-"));
  });
  after(async () => {
    await sandbox[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  test("Ctrl-C ends it and reports; --pcap keeps what was seen", async () => {
    const watcher = new Watcher(sandbox, ["--iface", "lo", "--json", "--pcap", join(folder, "kept.pcap")]);
    await watcher.watching();
    sandbox.must(`'${process.execPath}' -e '${talk}'`);
    await watcher.heard(join(folder, "kept.pcap"));
    watcher.interrupt();
    const { status, stdout, stderr } = await watcher.ended();
    assert.equal(status, 0, stderr);
    const live = JSON.parse(stdout) as Explanation;
    const [flow] = live.flows;
    assert.equal(live.flows.length, 1);
    assert.equal(flow?.b.port, 7040);
    assert.equal(flow?.verdict?.state, "closed");
    const again = sandbox.deadpeer("explain", "--json", join(folder, "kept.pcap"));
    assert.deepEqual(JSON.parse(again.stdout), live);
  });

  test("--for ends it by itself; a filter lets pass what it names", async () => {
    const args = [
      "--iface",
      "lo",
      "--filter",
      "port 7041",
      "--for",
      "5s",
      "--html",
      join(folder, "live.html"),
    ];
    mkdirSync(join(folder, "tmp"));
    const watcher = new Watcher(sandbox, args, { TMPDIR: join(folder, "tmp") });
    await watcher.watching();
    // Both in one process: a second start might take longer than the watching.
    sandbox.must(`'${process.execPath}' -e '{${talk}} {${talk.replaceAll("7040", "7041")}}'`);
    const { status, stderr } = await watcher.ended();
    assert.equal(status, 0, stderr);
    const page = readFileSync(join(folder, "live.html"), "utf8");
    assert.equal(page.match(/<svg /g)?.length, 1);
    assert.match(page, /port 7041/);
    assert.deepEqual(readdirSync(join(folder, "tmp")), [], "its temporary file is gone");
  });

  test("nothing seen is no error", async () => {
    const { status, stdout } = await new Watcher(sandbox, ["--iface", "lo", "--for", "300ms"]).ended();
    assert.equal(status, 0);
    assert.match(stdout, /^lo: 0 packets/);
  });

  test("no such network, a filter that is none", () => {
    const nowhere = sandbox.deadpeer("explain", "--iface", "nowhere0", "--for", "1s");
    assert.equal(nowhere.status, 2, nowhere.stderr);
    assert.match(nowhere.stderr, /^deadpeer: tcpdump refuses to capture on nowhere0: .*nowhere0.*\n$/);
    const filter = sandbox.deadpeer("explain", "--iface", "lo", "--filter", "port (", "--for", "1s");
    assert.equal(filter.status, 2, filter.stderr);
    assert.match(filter.stderr, /^deadpeer: tcpdump refuses .*syntax error.*\n$/);
  });

  test("no tcpdump", () => {
    const { status, stderr } = sandbox.run(
      "env",
      "PATH=/nowhere",
      process.execPath,
      cli,
      "explain",
      "--iface",
      "lo",
    );
    assert.equal(status, 3, stderr);
    assert.match(stderr, /^deadpeer: watching a network needs tcpdump, .*\n$/);
  });

  test("no privilege", () => {
    const { status, stderr } = sandbox.run(
      "setpriv",
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
      process.execPath,
      cli,
      "explain",
      "--iface",
      "lo",
    );
    assert.equal(status, 3, stderr);
    assert.match(stderr, /^deadpeer: capturing on lo needs CAP_NET_RAW; .*\n$/);
  });
});

/** `deadpeer explain --iface …` at work in a sandbox's network. */
class Watcher {
  readonly #child: ChildProcess;
  #stdout = "";
  #stderr = "";
  readonly #ended: Promise<number | null>;

  constructor(sandbox: Sandbox, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const enter = [`--net=${sandbox.netns}`, process.execPath, cli, "explain", ...args];
    this.#child = spawn("nsenter", enter, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.#stdout += text));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    this.#ended = new Promise((resolve) => this.#child.once("close", resolve));
  }

  watching(): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (this.#stderr.includes("watching lo")) resolve();
      };
      this.#child.stderr?.on("data", look);
      this.#child.once("close", () => reject(new Error(this.#stderr)));
      look();
    });
  }

  /** Both FINs are in the file, and the last acknowledgement. */
  async heard(pcap: string): Promise<void> {
    while (
      spawnSync("tcpdump", ["-n", "-r", pcap, "tcp[tcpflags] & tcp-fin != 0"], {
        encoding: "utf8",
      }).stdout.split("\n").length < 3
    )
      await new Promise((resolve) => setTimeout(resolve, 20));
  }

  interrupt(): void {
    this.#child.kill("SIGINT");
  }

  async ended(): Promise<{ status: number | null; stdout: string; stderr: string }> {
    return { status: await this.#ended, stdout: this.#stdout, stderr: this.#stderr };
  }
}
