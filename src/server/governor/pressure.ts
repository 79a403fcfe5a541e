import { readdirSync } from "node:fs";
import { totalmem } from "node:os";
import { getHeapStatistics } from "node:v8";
import { readLimit } from "../../kernel/limits.js";
import type { GovernorSettings } from "./policy.js";

/** What is read of the system. */
export interface Readings {
  /** Descriptors that this process has open, and may have; null: not to be known. */
  descriptors(): { readonly used: number; readonly limit: number } | null;
  /** How much of its memory this process uses, as a part of 1. */
  memory(): number;
}

/** Counting descriptors means listing them: this is not done more often than that. */
const recountMs = 1_000;
const rememberMs = 30_000;

/** Whether open files or memory run short. */
export class Pressure {
  readonly #limits: GovernorSettings["pressure"];
  readonly #readings: Readings;
  /** Descriptors that are none of our connections, as of `#countedMs`. */
  #others = 0;
  #limit = Number.POSITIVE_INFINITY;
  #countedMs = Number.NEGATIVE_INFINITY;

  constructor(limits: GovernorSettings["pressure"], readings: Readings = system) {
    this.#limits = limits;
    this.#readings = readings;
  }

  /** How many connections ought to go for there to be descriptors enough. */
  descriptorsShort(connections: number, nowMs: number): number {
    const { descriptors } = this.#limits;
    if (descriptors === null) return 0;
    if (nowMs - this.#countedMs > rememberMs) this.#count(connections, nowMs);
    if (this.#short(connections, descriptors) > 0 && nowMs - this.#countedMs > recountMs)
      this.#count(connections, nowMs);
    return Math.max(0, this.#short(connections, descriptors));
  }

  /** Whether hardly a descriptor is left: the program needs some as well. */
  descriptorsGone(connections: number): boolean {
    const { descriptors } = this.#limits;
    return descriptors !== null && this.#short(connections, (1 + descriptors) / 2) > 0;
  }

  get memoryShort(): boolean {
    const { memory } = this.#limits;
    return memory !== null && this.#readings.memory() > memory;
  }

  #short(connections: number, part: number): number {
    return Math.ceil(this.#others + connections - this.#limit * part);
  }

  #count(connections: number, nowMs: number): void {
    this.#countedMs = nowMs;
    const counted = this.#readings.descriptors();
    if (counted === null) return;
    this.#others = Math.max(0, counted.used - connections);
    this.#limit = counted.limit;
  }
}

const system: Readings = {
  descriptors() {
    const limit = readLimit("Max open files")?.soft;
    if (limit === undefined || !Number.isFinite(limit)) return null;
    try {
      return { used: readdirSync("/proc/self/fd").length, limit };
    } catch {
      return null;
    }
  },
  memory() {
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
    // 0 where it is not known, and more than there is where the cgroup sets no limit (uv_get_constrained_memory).
    const allowed = process.constrainedMemory?.() ?? 0;
    const total = totalmem();
    const machine = allowed > 0 && allowed < total ? allowed : total;
    return Math.max(used / limit, process.memoryUsage.rss() / machine);
  },
};
