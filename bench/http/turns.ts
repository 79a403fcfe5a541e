import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { type Spread, spreadOf } from "../spread.js";

/** What a process says of so many requests. */
export interface Turn {
  readonly perSecond: number;
  /** Of its processor time, for each request. */
  readonly cpuUs: number;
}

/** One contender's turns, of one process after the other. */
export type Turns = readonly (readonly Turn[])[];

export interface TurnsOptions {
  /** How often all processes are started anew: what V8 makes of the same program is not the same in each. */
  readonly generations: number;
  readonly rounds: number;
  readonly requestsPerRound: number;
}

/** So many requests before the first round: V8 has compiled by then what it is going to compile. */
const warmUpRequests = 12_000;

/**
 * Lets contenders work in short turns, so that other work on the machine falls on all alike. The first of a round is another one each
 * time, every second round goes backwards, and nobody has two turns on end, with caches that are still warm.
 *
 * @param start starts each contender's process, which answers a message with a count by a Turn of so many requests.
 */
export async function inTurns(
  start: readonly (() => ChildProcess)[],
  { generations, rounds, requestsPerRound }: TurnsOptions,
): Promise<readonly Turns[]> {
  const all: Turn[][][] = start.map(() => []);
  for (let generation = 0; generation < generations; generation++) {
    const children = start.map((one) => one());
    for (const child of children) await turn(child, warmUpRequests);
    for (const turns of all) turns.push([]);
    for (let round = 0; round < rounds; round++)
      for (const index of orderOf(round, start.length)) {
        const child = children[index] as ChildProcess;
        all[index]?.[generation]?.push(await turn(child, requestsPerRound));
      }
    for (const child of children) child.kill();
  }
  return all;
}

function orderOf(round: number, count: number): readonly number[] {
  const order = Array.from({ length: count }, (_, index) => (index + round) % count);
  return round % 2 === 0 ? order : order.toReversed();
}

async function turn(child: ChildProcess, requests: number): Promise<Turn> {
  child.send(requests);
  const [result] = (await once(child, "message")) as [Turn];
  return result;
}

/** All turns of one contender. */
export function figuresOf(turns: Turns): { readonly [figure in keyof Turn]: Spread } {
  const all = turns.flat();
  return {
    perSecond: spreadOf(all.map(({ perSecond }) => perSecond)),
    cpuUs: spreadOf(all.map(({ cpuUs }) => cpuUs)),
  };
}

/** How one stands to the other: of the rounds of each generation the middle, and over the generations middle, least and most. */
export function ratios(one: Turns, other: Turns): { readonly [figure in keyof Turn]: Spread } {
  const of = (figure: keyof Turn): Spread =>
    spreadOf(
      one.map(
        (turns, generation) =>
          spreadOf(
            turns.map((turn, round) => turn[figure] / (other[generation]?.[round]?.[figure] ?? Number.NaN)),
          ).median,
      ),
    );
  return { perSecond: of("perSecond"), cpuUs: of("cpuUs") };
}
