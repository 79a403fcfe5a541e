import { i32 } from "./bytes.js";
import { Flow, FlowKey } from "./flow.js";

const firstBuckets = 1_024;

/** All flows at hand by their endpoints: a hash table with chained buckets, keyed by integers. */
export class FlowTable {
  readonly #key = new FlowKey();
  #buckets = emptyBuckets(firstBuckets);
  #mask = firstBuckets - 1;
  #size = 0;
  /** Of the packet that `find` was last asked about: its source is the second endpoint in the table's order. */
  sourceIsHigh = false;

  get size(): number {
    return this.#size;
  }

  /** The flow between two endpoints whose addresses lie at `source` and `destination`; null: there is none yet. */
  find(
    bytes: Uint8Array,
    family: 4 | 6,
    source: number,
    destination: number,
    sourcePort: number,
    destinationPort: number,
  ): Flow | null {
    const key = this.#key;
    key.family = family;
    if (family === 4) this.#keyOf4(bytes, source, destination, sourcePort, destinationPort);
    else this.#keyOf6(bytes, source, destination, sourcePort, destinationPort);
    let flow = this.#buckets[key.hash & this.#mask] as Flow | null;
    while (flow !== null && !isKeyOf(flow, key)) flow = flow.next;
    return flow;
  }

  /** Makes a flow for what `find` was just asked about, in place of the one it may have returned. */
  add(replaced: Flow | null, frame: number, timeNs: number): Flow {
    if (replaced !== null) this.remove(replaced);
    if (this.#size >= this.#buckets.length) this.#grow();
    const flow = new Flow(this.#key, this.sourceIsHigh, frame, timeNs);
    this.#put(flow);
    this.#size++;
    return flow;
  }

  remove(flow: Flow): void {
    const bucket = flow.hash & this.#mask;
    let before: Flow | null = null;
    let at = this.#buckets[bucket] ?? null;
    while (at !== null && at !== flow) {
      before = at;
      at = at.next;
    }
    if (at === null) return;
    if (before === null) this.#buckets[bucket] = flow.next;
    else before.next = flow.next;
    flow.next = null;
    this.#size--;
  }

  *flows(): Generator<Flow> {
    for (const first of this.#buckets)
      for (let flow = first; flow !== null; ) {
        const { next }: Flow = flow;
        yield flow;
        flow = next;
      }
  }

  #keyOf4(
    bytes: Uint8Array,
    source: number,
    destination: number,
    sourcePort: number,
    destinationPort: number,
  ): void {
    const key = this.#key;
    const from = i32(bytes, source);
    const to = i32(bytes, destination);
    const high = from === to ? sourcePort > destinationPort : from > to;
    this.sourceIsHigh = high;
    key.low0 = high ? to : from;
    key.high0 = high ? from : to;
    key.ports = high ? (destinationPort << 16) | sourcePort : (sourcePort << 16) | destinationPort;
    key.hash = finished(mixed(mixed(key.ports, key.low0), key.high0));
  }

  #keyOf6(
    bytes: Uint8Array,
    source: number,
    destination: number,
    sourcePort: number,
    destinationPort: number,
  ): void {
    const key = this.#key;
    const order = compareAddresses(bytes, source, destination) || sourcePort - destinationPort;
    this.sourceIsHigh = order > 0;
    const low = order > 0 ? destination : source;
    const high = order > 0 ? source : destination;
    key.ports = order > 0 ? (destinationPort << 16) | sourcePort : (sourcePort << 16) | destinationPort;
    key.low0 = i32(bytes, low);
    key.low1 = i32(bytes, low + 4);
    key.low2 = i32(bytes, low + 8);
    key.low3 = i32(bytes, low + 12);
    key.high0 = i32(bytes, high);
    key.high1 = i32(bytes, high + 4);
    key.high2 = i32(bytes, high + 8);
    key.high3 = i32(bytes, high + 12);
    let hash = mixed(mixed(key.ports, key.low0), key.high0);
    hash = mixed(mixed(mixed(hash, key.low1), key.low2), key.low3);
    key.hash = finished(mixed(mixed(mixed(hash, key.high1), key.high2), key.high3));
  }

  #put(flow: Flow): void {
    const bucket = flow.hash & this.#mask;
    flow.next = this.#buckets[bucket] ?? null;
    this.#buckets[bucket] = flow;
  }

  #grow(): void {
    const flows = [...this.flows()];
    this.#buckets = emptyBuckets(this.#buckets.length * 4);
    this.#mask = this.#buckets.length - 1;
    for (const flow of flows) this.#put(flow);
  }
}

function emptyBuckets(length: number): (Flow | null)[] {
  return Array.from({ length }, () => null);
}

/** Below 0, 0 or above it as the first address comes before, is the same as, or comes behind the second. */
function compareAddresses(bytes: Uint8Array, one: number, other: number): number {
  for (let index = 0; index < 16; index++) {
    const difference = (bytes[one + index] as number) - (bytes[other + index] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

function isKeyOf(flow: Flow, key: FlowKey): boolean {
  if (flow.hash !== key.hash || flow.ports !== key.ports) return false;
  if (flow.low0 !== key.low0 || flow.high0 !== key.high0 || flow.family !== key.family) return false;
  if (key.family === 4) return true;
  return (
    flow.low1 === key.low1 &&
    flow.low2 === key.low2 &&
    flow.low3 === key.low3 &&
    flow.high1 === key.high1 &&
    flow.high2 === key.high2 &&
    flow.high3 === key.high3
  );
}

/** A round of MurmurHash3's mixing: neighbouring addresses and ports land in different buckets. */
function mixed(hash: number, word: number): number {
  let mixing = Math.imul(word, 0xcc9e2d51);
  mixing = (mixing << 15) | (mixing >>> 17);
  mixing = hash ^ Math.imul(mixing, 0x1b873593);
  return (Math.imul((mixing << 13) | (mixing >>> 19), 5) + 0xe6546b64) | 0;
}

/** The buckets are counted by the lower bits: let the upper ones have their say there. */
function finished(hash: number): number {
  return hash ^ (hash >>> 15);
}
