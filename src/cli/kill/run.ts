import { createInterface } from "node:readline/promises";
import { DeadpeerError } from "../../errors.js";
import { asksForProcesses, type FilterOptions, parseFilter } from "../../host/filter.js";
import { type Candidate, type Candidates, candidates, Ending } from "../../host/kill/kill.js";
import { parseDuration } from "../../plan/duration.js";
import { counted } from "../counted.js";
import { exitStatus, statusOf } from "../exit.js";
import { interruptible } from "../interrupt.js";
import { gaps } from "../ls-gaps.js";
import { note } from "../note.js";
import { ownSessionTest, ownSessionText } from "./own-session.js";
import { endedJson, endedText, listText } from "./report.js";

/** What commander collects for `deadpeer kill`. */
export interface KillCommandOptions extends FilterOptions {
  readonly silentFor?: string;
  readonly all?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export async function runKill(options: KillCommandOptions): Promise<void> {
  const { dryRun = false, yes = false, json = false, silentFor } = options;
  if (dryRun && yes)
    throw new DeadpeerError("bad-option", "--dry-run ends nothing and --yes does not ask; give one of them");
  const silentForMs = silentFor === undefined ? null : parseDuration(silentFor, "--silent-for");
  if (silentForMs === 0)
    throw new DeadpeerError(
      "bad-duration",
      "--silent-for: give a time for which a peer must have been silent, e.g. 10m",
    );
  const filter = parseFilter(options);
  const found = candidates({
    filter,
    all: options.all ?? false,
    ...(silentForMs === null ? {} : { silentForMs }),
  });
  sayGaps(found, asksForProcesses(filter));
  const isOwn = ownSessionTest();
  const own = found.connections.filter(isOwn);
  // The session's own go last: whatever comes after the first of them may never be done.
  const connections = [...found.connections.filter((one) => !isOwn(one)), ...own];
  if (own.length > 0) note(ownSessionText(own, connections.length));
  if (dryRun || connections.length === 0) {
    if (json)
      printJson(
        connections.map((one) => endedJson(one, isOwn(one), null)),
        false,
      );
    else
      process.stdout.write(
        connections.length === 0
          ? "No connection to end.\n"
          : `${listText(connections)}\n\n${counted(connections.length, "connection")} would be ended.\n`,
      );
    if (connections.length > 0) sayWhatIsMissing(connections);
    return;
  }
  // What is missing is said before anybody is asked.
  using ending = new Ending(connections, silentForMs);
  if (!yes && !process.stdin.isTTY)
    throw new DeadpeerError(
      "bad-option",
      `${counted(connections.length, "connection")} would be ended, and nobody is there to be asked: add --yes, or --dry-run to see them`,
    );
  await interruptible(async (signal) => {
    if (!yes) {
      const list = `${listText(connections)}\n\n`;
      (json ? process.stderr : process.stdout).write(list);
      const what = `End ${counted(connections.length, "connection")}`;
      const agreed =
        own.length === 0
          ? await isAgreed(`${what}? [y/N] `, /^y(es)?$/i, signal)
          : await isAgreed(`${what}, this session's own too? Type "yes" in full: `, /^yes$/i, signal);
      if (!agreed) {
        note("nothing was ended");
        return;
      }
    }
    const ended = await ending.run(signal);
    if (json)
      printJson(
        ended.map((one) => endedJson(one, isOwn(one), one)),
        true,
      );
    else process.stdout.write(endedText(ended, !yes));
  });
}

function printJson(connections: readonly unknown[], applied: boolean): void {
  process.stdout.write(`${JSON.stringify({ applied, connections }, null, 2)}\n`);
}

async function isAgreed(question: string, yes: RegExp, signal: AbortSignal): Promise<boolean> {
  // Not as a terminal: Ctrl-C then is the signal that it always is.
  const asking = createInterface({ input: process.stdin, output: process.stderr, terminal: false });
  const closed = new Promise<string>((resolve) => asking.once("close", () => resolve("")));
  try {
    const answer = await Promise.race([asking.question(question, { signal }), closed]);
    return yes.test(answer.trim());
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new DeadpeerError("aborted", "interrupted: nothing was ended", { cause: error });
  } finally {
    asking.close();
  }
}

/** What would keep them from being ended in earnest. */
function sayWhatIsMissing(connections: readonly Candidate[]): void {
  try {
    new Ending(connections)[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof DeadpeerError) || statusOf(error.code) !== exitStatus.missing) throw error;
    note(error.message);
    process.exitCode = exitStatus.missing;
  }
}

function sayGaps({ hidden, sight }: Candidates, asksForProcesses: boolean): void {
  for (const line of gaps({ ...sight, unread: 0 })) note(line);
  if (!asksForProcesses || hidden.length === 0) return;
  const names = hidden.slice(0, 8).map(({ name, pid }) => `${name} (${pid})`);
  note(
    `${names.join(", ")}: what they hold cannot be seen, and is not ended; that needs CAP_SYS_PTRACE, run as root`,
  );
  process.exitCode = exitStatus.missing;
}
