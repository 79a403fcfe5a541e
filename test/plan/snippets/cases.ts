import type { Settings } from "../../../src/plan/settings.js";

/** What a socket must hold afterwards, in the kernel's units; null: keepalive off. */
export interface Expected {
  readonly keepalive: readonly [idleS: number, intervalS: number, count: number] | null;
  readonly userTimeoutMs: number;
}

/** Settings and, written by hand, what they come to with and without a user timeout to set. */
export interface Case {
  readonly name: string;
  readonly settings: Settings;
  readonly full: Expected;
  readonly alone: Expected;
}

export const cases: readonly Case[] = [
  {
    name: "Linux's defaults",
    settings: { keepalive: { idleMs: 7_200_000, intervalMs: 75_000, count: 9 }, userTimeoutMs: 0 },
    full: { keepalive: [7_200, 75, 9], userTimeoutMs: 0 },
    alone: { keepalive: [7_200, 75, 9], userTimeoutMs: 0 },
  },
  {
    name: "a plan for 35 s",
    settings: { keepalive: { idleMs: 20_000, intervalMs: 5_000, count: 3 }, userTimeoutMs: 35_000 },
    full: { keepalive: [20, 5, 3], userTimeoutMs: 35_000 },
    alone: { keepalive: [20, 5, 3], userTimeoutMs: 0 },
  },
  {
    // As given: 10.9 s + 2 intervals of 5.5 s = 21.9 s. With 10 s and 5 s only two intervals end in time: 20 s.
    name: "odd times and a count that the user timeout overrides",
    settings: { keepalive: { idleMs: 10_900, intervalMs: 5_500, count: 20 }, userTimeoutMs: 21_900 },
    full: { keepalive: [10, 5, 20], userTimeoutMs: 20_000 },
    alone: { keepalive: [10, 5, 2], userTimeoutMs: 0 },
  },
  {
    name: "all off",
    settings: { keepalive: null, userTimeoutMs: 0 },
    full: { keepalive: null, userTimeoutMs: 0 },
    alone: { keepalive: null, userTimeoutMs: 0 },
  },
  {
    name: "a user timeout alone",
    settings: { keepalive: null, userTimeoutMs: 12_345 },
    full: { keepalive: null, userTimeoutMs: 12_345 },
    alone: { keepalive: null, userTimeoutMs: 0 },
  },
];
