// How long explaining a capture takes, against tshark looking for keep-alives alone in the same file and the same run.
//
//   npx tsc -p tsconfig.test.json && node .build/bench/explain.js [packets] [rounds]
//   node .build/bench/explain.js stream [gigabytes]      how much memory a capture of that size takes, read from a pipe
//   node .build/bench/explain.js short [connections]     time and memory for short connections, side by side in one capture
//
// Processor time is told besides the time on the clock: with other work on the machine the clock says little. Least of all rounds.
//
// Needs tshark and a built dist/. The capture is made here, the same for the same number of packets, in a temporary folder.
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { explainCapture, filePieces } from "../src/capture/index.js";
import { writeJson } from "../src/cli/explain/json.js";

const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
/** The ratio to tshark that the project promises. */
const goal = 30;
const memoryGoalMb = 500;
/** For half a million short connections. */
const shortGoal = { seconds: 6, megabytes: 700 } as const;

const ethernet = 14;
const headers = ethernet + 20 + 32;
/** Ports of no protocol that tshark would take apart further: on zeros at 443 it spends minutes. */
const serverPort = 39_999;
const firstClientPort = 40_000;
const flag = { fin: 1, syn: 2, push: 8, ack: 16 } as const;

/** Connections that live side by side; each closes after so many packets and makes room for another. */
const openFlows = 1_000;
const packetsPerFlow = 100;

/** Deterministic, so that two runs bench the same file (xorshift32). */
class Random {
  #state = 0x9e3779b9;

  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }
}

/** One connection: the next sequence number of each side, and how far it has got. */
class Talk {
  readonly seq: [number, number] = [0, 0];
  sent = 0;
  number = 0;
}

/** Writes packets one behind the other into a large buffer. */
class Capture {
  readonly buffer: Buffer;
  length: number;
  readonly #random = new Random();
  readonly #talks = Array.from({ length: openFlows }, () => new Talk());
  #opened = 0;
  #timeUs = 0;

  constructor(bytes: number) {
    this.buffer = Buffer.alloc(bytes);
    this.buffer.writeUInt32LE(0xa1b2c3d4, 0);
    this.buffer.writeUInt16LE(2, 4);
    this.buffer.writeUInt16LE(4, 6);
    this.buffer.writeUInt32LE(65_535, 16);
    this.buffer.writeUInt32LE(1, 20);
    this.length = 24;
  }

  /** A packet of some connection: mostly data and acknowledgements, now and then a keepalive probe and its answer. */
  next(payload: number): void {
    const talk = this.#talks[this.#random.below(openFlows)] as Talk;
    this.#timeUs += 10 + this.#random.below(200);
    const step = talk.sent++ % packetsPerFlow;
    if (step === 0) this.#open(talk);
    if (step <= 1) this.#write(talk, step, step === 0 ? flag.syn : flag.syn | flag.ack, 0, 0);
    else if (step % 50 === 48) this.#write(talk, 0, flag.ack, 0, -1);
    else if (step % 50 === 49) this.#write(talk, 1, flag.ack, 0, 0);
    else if (step % 2 === 0) this.#write(talk, 0, flag.ack | flag.push, payload, 0);
    else this.#write(talk, 1, flag.ack, 0, 0);
  }

  /** A connection that exchanges one request and closes: seven packets. */
  brief(): void {
    const talk = new Talk();
    this.#open(talk);
    this.#timeUs += 10 + this.#random.below(200);
    this.#write(talk, 0, flag.syn, 0, 0);
    this.#write(talk, 1, flag.syn | flag.ack, 0, 0);
    this.#write(talk, 0, flag.ack | flag.push, 100, 0);
    this.#write(talk, 1, flag.ack, 0, 0);
    this.#write(talk, 0, flag.ack | flag.fin, 0, 0);
    this.#write(talk, 1, flag.ack | flag.fin, 0, 0);
    this.#write(talk, 0, flag.ack, 0, 0);
  }

  #open(talk: Talk): void {
    talk.number = this.#opened++;
    talk.seq[0] = this.#random.below(2 ** 31);
    talk.seq[1] = this.#random.below(2 ** 31);
  }

  #write(talk: Talk, side: number, flags: number, payload: number, back: number): void {
    const { buffer } = this;
    const at = this.length;
    const size = headers + payload;
    // What earlier packets left in the buffer would be fragments and a hundred protocols.
    buffer.fill(0, at, at + 16 + headers);
    buffer.fill(0x78, at + 16 + headers, at + 16 + size);
    buffer.writeUInt32LE(1_700_000_000 + Math.floor(this.#timeUs / 1e6), at);
    buffer.writeUInt32LE(this.#timeUs % 1e6, at + 4);
    buffer.writeUInt32LE(size, at + 8);
    buffer.writeUInt32LE(size, at + 12);
    const ip = at + 16 + ethernet;
    buffer.writeUInt16BE(0x0800, ip - 2);
    buffer[ip] = 0x45;
    buffer.writeUInt16BE(size - ethernet, ip + 2);
    buffer[ip + 8] = 64;
    buffer[ip + 9] = 6;
    const client = 0x0a000000 + (talk.number >>> 14);
    const clientPort = firstClientPort + (talk.number & 0x3fff);
    buffer.writeUInt32BE(side === 0 ? client : 0xc0a80001, ip + 12);
    buffer.writeUInt32BE(side === 0 ? 0xc0a80001 : client, ip + 16);
    const tcp = ip + 20;
    buffer.writeUInt16BE(side === 0 ? clientPort : serverPort, tcp);
    buffer.writeUInt16BE(side === 0 ? serverPort : clientPort, tcp + 2);
    const own = talk.seq[side] as number;
    const other = talk.seq[1 - side] as number;
    buffer.writeUInt32BE((own + back) >>> 0, tcp + 4);
    buffer.writeUInt32BE((flags & flag.ack) === 0 ? 0 : other, tcp + 8);
    buffer[tcp + 12] = 0x80;
    buffer[tcp + 13] = flags;
    buffer.writeUInt16BE(501, tcp + 14);
    buffer.writeUInt32BE(0x0101080a, tcp + 20);
    buffer.writeUInt32BE(Math.floor(this.#timeUs / 1_000), tcp + 24);
    buffer.writeUInt32BE(Math.floor(this.#timeUs / 1_000), tcp + 28);
    talk.seq[side] = own + payload + ((flags & (flag.syn | flag.fin)) === 0 ? 0 : 1);
    this.length = at + 16 + size;
  }
}

function makeCapture(path: string, times: number, put: (capture: Capture) => void): number {
  const room = 1 << 24;
  const capture = new Capture(room);
  const file = openSync(path, "w");
  let bytes = 0;
  const flush = (): void => {
    bytes += writeSync(file, capture.buffer, 0, capture.length);
    capture.length = 0;
  };
  for (let made = 0; made < times; made++) {
    if (capture.length > room - 4_096) flush();
    put(capture);
  }
  flush();
  closeSync(file);
  return bytes;
}

function race(packets: number, rounds: number): void {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-bench-"));
  try {
    const path = join(folder, "many-flows.pcap");
    const bytes = makeCapture(path, packets, (capture) => capture.next(64));
    console.log(`${packets} packets, ${Math.round(bytes / 1e6)} MB; medians of ${rounds} rounds`);
    const empty = new Timed(process.execPath, ["-e", "0"]);
    const ours = new Timed(process.execPath, [cli, "explain", "--json", path]);
    const theirs = new Timed("tshark", ["-n", "-r", path, "-Y", "tcp.analysis.keep_alive"]);
    // In turns: what else the machine does is then the same for all.
    for (let round = 0; round < rounds; round++) {
      empty.run();
      ours.run();
      theirs.run();
    }
    console.log(`an empty program in Node: ${empty.figures}`);
    console.log(`deadpeer explain --json: ${ours.figures}`);
    console.log(`tshark -n -Y tcp.analysis.keep_alive: ${theirs.figures}`);
    console.log(
      `ratio ${(theirs.wallMs / ours.wallMs).toFixed(1)} (goal: at least ${goal}), ` +
        `of the least ${(theirs.leastMs / ours.leastMs).toFixed(1)}, of processor times ${(theirs.cpuMs / ours.cpuMs).toFixed(1)}`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A capture that exists only in the pipe: as large as one likes. */
async function* endless(bytes: number): AsyncGenerator<Uint8Array> {
  const room = 1 << 20;
  const capture = new Capture(room);
  for (let left = bytes; left > 0; left -= capture.length) {
    if (left < bytes) capture.length = 0;
    while (capture.length < room - 4_096) capture.next(1_000);
    yield capture.buffer.subarray(0, capture.length);
  }
}

async function stream(gigabytes: number): Promise<void> {
  const start = performance.now();
  let flows = 0;
  const { packets } = await explainCapture(endless(gigabytes * 1e9), { onFlow: () => flows++ });
  const seconds = (performance.now() - start) / 1_000;
  const peakMb = process.resourceUsage().maxRSS / 1_024;
  console.log(
    `${gigabytes} GB, ${packets} packets, ${flows} flows in ${seconds.toFixed(1)} s, ` +
      `${Math.round(peakMb)} MB at most (goal: under ${memoryGoalMb})`,
  );
}

async function short(connections: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-bench-"));
  try {
    const path = join(folder, "short.pcap");
    const bytes = makeCapture(path, connections, (capture) => capture.brief());
    const before = process.cpuUsage();
    const start = performance.now();
    const source = { chunks: filePieces(openSync(path, "r")) };
    const everything = { all: true, firstFrame: null, port: null };
    await writeJson(source, everything, new Writable({ write: (_bytes, _encoding, done) => done() }));
    const { user, system } = process.cpuUsage(before);
    console.log(
      `${connections} connections, ${Math.round(bytes / 1e6)} MB, in ${((performance.now() - start) / 1_000).toFixed(1)} s, ` +
        `${((user + system) / 1e6).toFixed(1)} s of processor time (goal: under ${shortGoal.seconds}), ` +
        `${Math.round(process.resourceUsage().maxRSS / 1_024)} MB at most (goal: under ${shortGoal.megabytes})`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A command, and how long it took each time. */
class Timed {
  readonly #command: string;
  readonly #args: readonly string[];
  readonly #walls: number[] = [];
  readonly #cpus: number[] = [];

  constructor(command: string, args: readonly string[]) {
    this.#command = command;
    this.#args = args;
  }

  run(): void {
    const cpuBefore = childrenCpuMs();
    const start = performance.now();
    const { status, error } = spawnSync(this.#command, this.#args, { stdio: "ignore" });
    if (status !== 0) throw new Error(`${this.#command} ${this.#args.join(" ")} failed`, { cause: error });
    this.#walls.push(performance.now() - start);
    this.#cpus.push(childrenCpuMs() - cpuBefore);
  }

  /** The median. */
  get wallMs(): number {
    return this.#walls.toSorted((a, b) => a - b)[Math.floor(this.#walls.length / 2)] ?? Number.NaN;
  }

  get leastMs(): number {
    return Math.min(...this.#walls);
  }

  /** The least. */
  get cpuMs(): number {
    return Math.min(...this.#cpus);
  }

  get figures(): string {
    return `${Math.round(this.wallMs)} ms, at least ${Math.round(this.leastMs)} ms and ${this.cpuMs} ms of processor time`;
  }
}

/** Processor time of all children that have ended, from proc(5): cutime and cstime in ticks of 10 ms. */
function childrenCpuMs(): number {
  const fields = readFileSync("/proc/self/stat", "latin1")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

const [first = "1000000", second] = process.argv.slice(2);
if (first === "stream") await stream(Number(second ?? 2));
else if (first === "short") await short(Number(second ?? 500_000));
else race(Number(first), Number(second ?? 5));
