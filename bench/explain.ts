// How long explaining a capture takes, against tshark looking for keep-alives alone in the same file and the same run.
//
//   npx tsc -p tsconfig.test.json && node .build/bench/explain.js [packets] [rounds]
//   node .build/bench/explain.js stream [gigabytes]      how much memory a capture of that size takes, read from a pipe
//
// Needs tshark and a built dist/. The capture is made here, the same for the same number of packets, in a temporary folder.
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { explainCapture } from "../src/capture/index.js";

const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
/** The ratio to tshark that the project promises. */
const goal = 30;
const memoryGoalMb = 500;

const ethernet = 14;
const headers = ethernet + 20 + 32;
/** Ports of no protocol that tshark would take apart further: on zeros at 443 it spends minutes. */
const serverPort = 39_999;
const firstClientPort = 40_000;
const flag = { syn: 2, push: 8, ack: 16 } as const;

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
    talk.seq[side] = own + payload + ((flags & flag.syn) === 0 ? 0 : 1);
    this.length = at + 16 + size;
  }
}

function makeCapture(path: string, packets: number, payload: number): number {
  const room = 1 << 24;
  const capture = new Capture(room);
  const file = openSync(path, "w");
  let bytes = 0;
  const flush = (): void => {
    bytes += writeSync(file, capture.buffer, 0, capture.length);
    capture.length = 0;
  };
  for (let made = 0; made < packets; made++) {
    if (capture.length > room - 4_096) flush();
    capture.next(payload);
  }
  flush();
  closeSync(file);
  return bytes;
}

function race(packets: number, rounds: number): void {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-bench-"));
  try {
    const path = join(folder, "many-flows.pcap");
    const bytes = makeCapture(path, packets, 64);
    console.log(`${packets} packets, ${Math.round(bytes / 1e6)} MB; medians of ${rounds} rounds`);
    const empty = median(rounds, () => time(process.execPath, ["-e", "0"]));
    const ours = median(rounds, () => time(process.execPath, [cli, "explain", "--json", path]));
    const theirs = median(Math.min(rounds, 3), () =>
      time("tshark", ["-n", "-r", path, "-Y", "tcp.analysis.keep_alive"]),
    );
    console.log(`an empty program in Node: ${Math.round(empty)} ms`);
    console.log(
      `deadpeer explain --json: ${Math.round(ours)} ms; tshark -n -Y tcp.analysis.keep_alive: ${Math.round(theirs)} ms; ` +
        `ratio ${(theirs / ours).toFixed(1)} (goal: at least ${goal})`,
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

function time(command: string, args: readonly string[]): number {
  const start = performance.now();
  const { status, error } = spawnSync(command, args, { stdio: ["ignore", "ignore", "ignore"] });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed`, { cause: error });
  return performance.now() - start;
}

function median(rounds: number, measure: () => number): number {
  const figures = Array.from({ length: rounds }, measure).sort((a, b) => a - b);
  return figures[Math.floor(figures.length / 2)] ?? Number.NaN;
}

const [first = "1000000", second] = process.argv.slice(2);
if (first === "stream") await stream(Number(second ?? 2));
else race(Number(first), Number(second ?? 5));
