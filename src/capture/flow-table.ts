import { i32 } from "./bytes.js";
import { Flow, FlowKey } from "./flow.js";

const firstBuckets = 1_024;

/** All flows at hand by their endpoints: a hash table with chained buckets, keyed by integers. */
export class FlowTable {
  readonly #key = new FlowKey();
  #buckets = emptyBuckets(firstBuckets);
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
    const order = compareEndpoints(bytes, family, source, destination, sourcePort, destinationPort);
    this.sourceIsHigh = order > 0;
    const low = order > 0 ? destination : source;
    const high = order > 0 ? source : destination;
    key.ports = order > 0 ? (destinationPort << 16) | sourcePort : (sourcePort << 16) | destinationPort;
    key.low0 = i32(bytes, low);
    key.high0 = i32(bytes, high);
    let hash = mixed(mixed(key.ports, key.low0), key.high0);
    if (family === 6) {
      key.low1 = i32(bytes, low + 4);
      key.low2 = i32(bytes, low + 8);
      key.low3 = i32(bytes, low + 12);
      key.high1 = i32(bytes, high + 4);
      key.high2 = i32(bytes, high + 8);
      key.high3 = i32(bytes, high + 12);
      hash = mixed(mixed(mixed(hash, key.low1), key.low2), key.low3);
      hash = mixed(mixed(mixed(hash, key.high1), key.high2), key.high3);
    }
    key.hash = hash ^ (hash >>> 15);
    return this.#lookUp(key);
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
    const bucket = flow.hash & (this.#buckets.length - 1);
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

  #lookUp(key: FlowKey): Flow | null {
    let flow = this.#buckets[key.hash & (this.#buckets.length - 1)] ?? null;
    while (flow !== null && !isKeyOf(flow, key)) flow = flow.next;
    return flow;
  }

  #put(flow: Flow): void {
    const bucket = flow.hash & (this.#buckets.length - 1);
    flow.next = this.#buckets[bucket] ?? null;
    this.#buckets[bucket] = flow;
  }

  #grow(): void {
    const flows = [...this.flows()];
    this.#buckets = emptyBuckets(this.#buckets.length * 4);
    for (const flow of flows) this.#put(flow);
  }
}

function emptyBuckets(length: number): (Flow | null)[] {
  return Array.from({ length }, () => null);
}

/** Below 0, 0 or above it as the source comes before, is the same as, or comes behind the destination. */
function compareEndpoints(
  bytes: Uint8Array,
  family: 4 | 6,
  source: number,
  destination: number,
  sourcePort: number,
  destinationPort: number,
): number {
  const length = family === 4 ? 4 : 16;
  for (let index = 0; index < length; index++) {
    const difference = (bytes[source + index] as number) - (bytes[destination + index] as number);
    if (difference !== 0) return difference;
  }
  return sourcePort - destinationPort;
}

function isKeyOf(flow: Flow, key: FlowKey): boolean {
  if (flow.hash !== key.hash || flow.ports !== key.ports || flow.family !== key.family) return false;
  const { low, high } = flow;
  if (low.w0 !== key.low0 || high.w0 !== key.high0) return false;
  if (key.family === 4) return true;
  return (
    low.w1 === key.low1 &&
    low.w2 === key.low2 &&
    low.w3 === key.low3 &&
    high.w1 === key.high1 &&
    high.w2 === key.high2 &&
    high.w3 === key.high3
  );
}

/** A round of MurmurHash3's mixing: neighbouring addresses and ports land in different buckets. */
function mixed(hash: number, word: number): number {
  let mixing = Math.imul(word, 0xcc9e2d51);
  mixing = (mixing << 15) | (mixing >>> 17);
  mixing = hash ^ Math.imul(mixing, 0x1b873593);
  return (Math.imul((mixing << 13) | (mixing >>> 19), 5) + 0xe6546b64) | 0;
}
