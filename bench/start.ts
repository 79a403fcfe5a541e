// How long a command takes from its start to its end, against a Node that does nothing.
//
//   npm run build && npx tsc -p tsconfig.test.json && node .build/bench/start.js [--json] [rounds]
//
// Commands take turns, so that a machine that grows slower meanwhile slows all of them.
import { spawnSync } from "node:child_process";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

const commands: Readonly<Record<string, readonly string[]>> = {
  "node -e 0": ["-e", "0"],
  "deadpeer --help": [main, "--help"],
  "deadpeer plan --detect 35s": [main, "plan", "--detect", "35s"],
};

interface Figure {
  readonly command: string;
  readonly medianMs: number;
  /** Against a Node that does nothing. */
  readonly ratio: number;
}

function measure(rounds: number): readonly Figure[] {
  const taken = new Map(Object.keys(commands).map((command) => [command, [] as number[]]));
  // The first round only fills the page cache.
  for (let round = 0; round <= rounds; round++)
    for (const [command, args] of Object.entries(commands)) {
      const ms = timed(command, args);
      if (round > 0) taken.get(command)?.push(ms);
    }
  const medians = [...taken].map(([command, times]) => ({ command, medianMs: median(times) }));
  const bare = medians[0]?.medianMs ?? Number.NaN;
  return medians.map(({ command, medianMs }) => ({ command, medianMs, ratio: medianMs / bare }));
}

function timed(command: string, args: readonly string[]): number {
  const from = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const ms = performance.now() - from;
  if (status !== 0) throw new Error(`${command} ended with status ${status}: ${stderr}`);
  return ms;
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[times.length >> 1] ?? Number.NaN;
}

const rounds = process.argv.slice(2).find((argument) => argument !== "--json") ?? "21";
const figures = measure(Number(rounds));
if (process.argv.includes("--json")) console.log(JSON.stringify(figures));
else
  for (const { command, medianMs, ratio } of figures)
    console.log(
      `${command.padEnd(28)}${medianMs.toFixed(0).padStart(5)} ms  ${ratio.toFixed(2).padStart(5)}`,
    );
