// The mixed load by itself, first with parking and then without, or one of both; the seed is drawn if none is given.
//
//   npx tsc -p tsconfig.test.json && node .build/test/server/parking/mixed/main.js [on|off|both] [sessions] [seconds] [seed]
//
// In full, 10 000 sessions for ten minutes: node .build/test/server/parking/mixed/main.js both 10000 600
// Says on stderr how it goes, and prints the results as JSON; ends with 1 where something does not add up or differs.
import { mixedLoad, type MixedLoadResult } from "./mixed-load.js";

const [which = "both", ...numbers] = process.argv.slice(2);
const [sessions = 500, seconds = 15, seed = Math.floor(Math.random() * 2 ** 31)] = numbers.map(Number);
const results: MixedLoadResult[] = [];
for (const parking of [true, false]) {
  if (which !== "both" && which !== (parking ? "on" : "off")) continue;
  const log = (line: string): void => console.error(`parking ${parking ? "on" : "off"}: ${line}`);
  results.push(await mixedLoad({ sessions, seconds, parking, seed, log }));
}
console.log(JSON.stringify({ seed, sessions, seconds, results }, null, 2));
const differ = new Set(results.map(({ digest }) => digest)).size > 1;
process.exitCode = differ || results.some(({ problems }) => problems.length > 0) ? 1 : 0;
