import type { Packet } from "./wire.js";

const flag = { fin: 1, syn: 2, rst: 4, push: 8, ack: 16 } as const;

/** Deterministic numbers (xorshift32): a test that fails does so again. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b9) | 1;
  }

  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}

/** What a side does next, with how often. */
type Act = "data" | "again" | "lost" | "probe" | "byte" | "fin" | "rst" | "syn" | "back" | "ahead" | "ack";
const acts: readonly (readonly [Act, percent: number])[] = [
  ["data", 25],
  ["again", 10],
  ["lost", 5],
  ["probe", 15],
  ["byte", 5],
  ["fin", 3],
  ["rst", 2],
  ["syn", 2],
  ["back", 2],
  ["ahead", 2],
];

interface End {
  readonly first: number;
  readonly shift: number | null;
  next: number;
  ack: number;
  window: number;
  readonly sent: { readonly seq: number; readonly length: number }[];
}

/**
 * Connections that do everything a capture may show, and much that no kernel would do: each segment is one that some rule of
 * Wireshark's, or its guess, has to say something about. Sequence numbers begin near their wrap at times.
 */
export function talk(seed: number, connections: number): Packet[] {
  const random = new Random(seed);
  const packets = Array.from({ length: connections }, (_, index) => converse(random, 1_024 + index)).flat();
  return packets.sort((one, other) => Number(one.us - other.us));
}

function converse(random: Random, port: number): Packet[] {
  const packets: Packet[] = [];
  const ends: readonly [End, End] = [makeEnd(random), makeEnd(random)];
  let us = 1_700_000_000_000_000 + random.below(10_000_000);
  const send = (side: 0 | 1, seq: number, ack: number, flags: number, length = 0): void => {
    const { window, shift } = ends[side];
    const bytes = segment(side, port, { seq, ack, flags, length, window, shift });
    packets.push({ us: BigInt(us), bytes });
  };
  if (random.chance(70)) us = shakeHands(random, ends, send, us);
  for (let left = 5 + random.below(55); left > 0; left--) {
    us += random.pick([10, 500, 1_500, 2_500, 4_000, 15_000, 30_000, 300_000, 2_000_000]);
    const side = random.pick([0, 1] as const);
    const end = ends[side];
    const other = ends[1 - side] as End;
    if (random.chance(15)) end.window = random.pick([0, 0, 1_000, 1_000, 5, 64, 100]);
    if (random.chance(50)) end.ack = other.next - (random.chance(80) ? 0 : random.pick([1, 10, 50]));
    act(random, end, other, (seq, ack, flags, length) => send(side, seq, ack, flags, length));
  }
  return packets;
}

function makeEnd(random: Random): End {
  const first = random.pick([random.below(2 ** 31) * 2, 0xfffffff0, 100]);
  return { first, shift: random.pick([null, 0, 3, 7]), next: first, ack: 0, window: 1_000, sent: [] };
}

type Send = (side: 0 | 1, seq: number, ack: number, flags: number, length?: number) => void;

function shakeHands(random: Random, ends: readonly [End, End], send: Send, startUs: number): number {
  const [a, b] = ends;
  a.window = random.pick([1_000, 64]);
  send(0, a.first, 0, flag.syn);
  if (random.chance(20)) send(0, a.first, 0, flag.syn);
  if (random.chance(90)) send(1, b.first, a.first + 1, flag.syn | flag.ack);
  a.next = b.ack = a.first + 1;
  b.next = a.ack = b.first + 1;
  if (random.chance(90)) send(0, a.next, b.next, flag.ack);
  return startUs + random.pick([100, 5_000, 40_000]);
}

function act(
  random: Random,
  end: End,
  other: End,
  send: (seq: number, ack: number, flags: number, length?: number) => void,
): void {
  const { ack } = end;
  switch (nextAct(random)) {
    case "data": {
      const room = other.ack === 0 ? 0 : end.next - other.ack;
      const fill = Math.max(1, (other.window << (other.shift ?? 0)) - room);
      const length = random.chance(15) ? Math.min(fill, 3_000) : random.pick([1, 1, 10, 100, 5, 64]);
      send(end.next, ack, flag.push | flag.ack, length);
      end.sent.push({ seq: end.next, length });
      end.next += length;
      break;
    }
    case "again": {
      const old = random.pick(end.sent.slice(-5));
      if (old !== undefined) send(old.seq, ack, flag.push | flag.ack, old.length);
      break;
    }
    case "lost":
      end.next += random.pick([1, 10, 100]);
      break;
    case "probe":
      send(end.next - 1, ack, flag.ack, random.pick([0, 0, 1]));
      break;
    case "byte":
      send(end.next, ack, flag.ack, 1);
      break;
    case "fin":
      send(end.next++, ack, flag.fin | flag.ack);
      break;
    case "rst":
      send(end.next, ack, random.pick([flag.rst, flag.rst | flag.ack]));
      break;
    case "syn":
      send(
        random.pick([end.first, end.first, random.below(2 ** 31)]),
        random.pick([0, ack]),
        random.pick([flag.syn, flag.syn | flag.ack]),
      );
      break;
    case "back":
      send(end.next - 1, ack, flag.push | flag.ack, 20);
      break;
    case "ahead":
      send(end.next, ack + 500, flag.ack);
      break;
    default:
      for (let left = random.pick([1, 1, 1, 3]); left > 0; left--) send(end.next, ack, flag.ack);
  }
}

function nextAct(random: Random): Act {
  let at = random.below(100);
  for (const [name, percent] of acts) {
    if (at < percent) return name;
    at -= percent;
  }
  return "ack";
}

interface Fields {
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly length: number;
  readonly window: number;
  readonly shift: number | null;
}

/** A bare IPv4 packet; a SYN offers its window scale. */
function segment(side: 0 | 1, port: number, { seq, ack, flags, length, window, shift }: Fields): Buffer {
  const options = (flags & flag.syn) !== 0 && shift !== null ? Buffer.of(1, 3, 3, shift) : Buffer.alloc(0);
  const bytes = Buffer.alloc(40 + options.length + length, 0x78);
  bytes.fill(0, 0, 40);
  bytes.writeUInt8(0x45, 0);
  bytes.writeUInt16BE(bytes.length, 2);
  bytes.writeUInt8(64, 8);
  bytes.writeUInt8(6, 9);
  bytes.writeUInt32BE(0x0a000001 + side, 12);
  bytes.writeUInt32BE(0x0a000002 - side, 16);
  bytes.writeUInt16BE(side === 0 ? port : serverPort, 20);
  bytes.writeUInt16BE(side === 0 ? serverPort : port, 22);
  bytes.writeUInt32BE(seq >>> 0, 24);
  bytes.writeUInt32BE(ack >>> 0, 28);
  bytes.writeUInt8((5 + options.length / 4) << 4, 32);
  bytes.writeUInt8(flags, 33);
  bytes.writeUInt16BE(window, 34);
  options.copy(bytes, 40);
  return bytes;
}

/** Above all that tshark takes for a protocol. */
const serverPort = 39_999;
