import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Explanation, explainCapture, type FlowReport } from "../../src/capture/index.js";
import { Hosts, needsNamespaces } from "../support/namespaces.js";
import { startProgram } from "../support/programs.js";
import { askTshark, type FramesByKind, framesByKind, needsTshark } from "./tshark.js";

const needsTcpdump: string | false =
  spawnSync("tcpdump", ["--version"]).status === 0 ? false : "needs tcpdump";

const port = { idle: 7_001, full: 7_002, lossy: 7_003, cut: 7_004 } as const;

/** Accepts everything; reads at once but on one port, where it takes its time. */
const server = `
import socket, threading, time
def serve(port, pause):
    listener = socket.create_server(("", port))
    def take():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=read, args=(connection, pause), daemon=True).start()
    threading.Thread(target=take, daemon=True).start()
def read(connection, pause):
    time.sleep(pause)
    while connection.recv(65536): pass
for port in (${port.idle}, ${port.lossy}, ${port.cut}): serve(port, 0)
serve(${port.full}, 3)
print("ready", flush=True)
time.sleep(600)
`;

/** One connection on each port at the same time; says when those that are to be cut off stand. */
const client = `
import socket, sys, threading, time
server = sys.argv[1]
def connect(port, keepalive):
    connection = socket.create_connection((server, port))
    if keepalive:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection
def send(port, size):
    with connect(port, False) as connection: connection.sendall(bytes(size))
work = [threading.Thread(target=send, args=args) for args in ((${port.full}, 6_000_000), (${port.lossy}, 3_000_000))]
for thread in work: thread.start()
idle, cut = (connect(port, True) for port in (${port.idle}, ${port.cut}))
time.sleep(2.5)
print("standing", flush=True)
def died(connection):
    try: connection.recv(1)
    except OSError as error: print(error.errno, flush=True)
for thread in work: thread.join()
died(cut)
print("done", flush=True)
time.sleep(600)
`;

describe("what a real kernel sends", { skip: needsNamespaces || needsTcpdump }, () => {
  let folder: string;
  let path: string;
  let account: Explanation;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "deadpeer-live-test-"));
    path = join(folder, "live.pcap");
    await record(path);
    account = await explainCapture(readFileSync(path));
  });
  after(() => rmSync(folder, { recursive: true }));

  test("every frame of every kind is tshark's", { skip: needsTshark }, async () => {
    assert.deepEqual(framesByKind(account), await askTshark(path));
  });

  test("the capture has the kinds in it that it was made for", () => {
    const kinds: FramesByKind = framesByKind(account);
    for (const kind of [
      "keep-alive",
      "keep-alive-ack",
      "zero-window",
      "window-full",
      "retransmission",
      "duplicate-ack",
    ] as const)
      assert.ok((kinds[kind]?.length ?? 0) > 0, kind);
  });

  test("keepalive's settings are inferred from answered probes", () => {
    const [keepalive] = flowTo(account, port.idle).inferred.keepalive;
    assert.equal(keepalive?.idleMs, 1_000);
    assert.equal(keepalive?.intervalMs, null);
  });

  test("cut off, it died by keepalive, 1 s + 3 × 1 s after it was last heard", () => {
    const { inferred, verdict } = flowTo(account, port.cut);
    assert.ok(verdict !== null);
    const { idleMs, intervalMs, count } = inferred.keepalive[0] ?? {};
    assert.deepEqual({ idleMs, intervalMs, count }, { idleMs: 1_000, intervalMs: 1_000, count: 3 });
    const { state, timer, regime, certainty, detectedAfterMs } = verdict;
    assert.deepEqual(
      { state, timer, regime, certainty },
      { state: "silent", timer: "keepalive", regime: "idle", certainty: "certain" },
    );
    assert.ok(detectedAfterMs !== null && detectedAfterMs >= 4_000 && detectedAfterMs < 6_000);
  });

  test("the connections that were closed were closed", () => {
    for (const each of [port.full, port.lossy]) assert.equal(flowTo(account, each).verdict?.state, "closed");
  });
});

function flowTo({ flows }: Explanation, wanted: number): FlowReport {
  const flow = flows.find(({ a, b }) => a.port === wanted || b.port === wanted);
  assert.ok(flow !== undefined, `port ${wanted}`);
  return flow;
}

/** Has four connections live and die between two hosts, one of them over a lossy path, and keeps what came over the wire. */
async function record(path: string): Promise<void> {
  using hosts = new Hosts();
  const inside = (host: "near" | "far" | "router"): string[] => ["ip", "netns", "exec", hosts.name(host)];
  const far = startProgram([...inside("far"), "python3", "-c"], server);
  const lossy = `add rule inet path forward tcp dport ${port.lossy} numgen random mod 100 < 4 drop`;
  spawnSync("ip", ["netns", "exec", hosts.name("router"), "nft", lossy]);
  // One segment a packet, as on a real wire: losses are then many and small.
  spawnSync("ip", ["-n", hosts.name("near"), "link", "set", "wire", "gso_max_segs", "1"]);
  const tcpdump = spawn(
    "ip",
    [
      ...inside("near").slice(1),
      "tcpdump",
      "-i",
      "wire",
      "-n",
      "-Z",
      "root",
      "-U",
      "--immediate-mode",
      "-s",
      "128",
      "-w",
      path,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  try {
    await far.says("ready");
    await saysListening(tcpdump.stderr);
    const near = startProgram([...inside("near"), "python3", "-c"], client, hosts.address("far", 4));
    try {
      await near.says("standing");
      hosts.cut(port.cut);
      await near.says("done");
    } finally {
      await near.kill();
    }
  } finally {
    const ended = once(tcpdump, "exit");
    tcpdump.kill("SIGINT");
    await ended;
    await far.kill();
  }
}

function saysListening(stderr: NodeJS.ReadableStream): Promise<void> {
  return new Promise((resolve) => {
    let said = "";
    stderr.on("data", (text: Buffer) => {
      said += text.toString();
      if (said.includes("listening on")) resolve();
    });
  });
}
