import { once } from "node:events";
import { DeadpeerError } from "../../errors.js";
import { type FilterOptions, parseFilter } from "../../host/filter.js";
import { type HostWatch, watchHost } from "../../host/watch/host-watch.js";
import type { Obituary } from "../../host/watch/obituary.js";
import { currentNamespace } from "../../kernel/namespaces.js";
import { parseDuration } from "../../plan/duration.js";
import { interruptible } from "../interrupt.js";
import { pageOf } from "../ls-report.js";
import { Commands } from "./exec.js";
import { LineWriter } from "./line.js";
import { parseOnly } from "./only.js";
import { Reporter } from "./reporter.js";

/** What commander makes of the command line. */
export interface WatchCommandOptions extends FilterOptions {
  readonly json?: true;
  readonly only?: readonly string[];
  readonly for?: string;
  readonly exec?: string;
}

/** Node's timers count milliseconds in 31 bits. */
const longestMs = 2_147_483_647;

/** `deadpeer watch`: until the time is over, or somebody ends it. */
export async function runWatch(options: WatchCommandOptions): Promise<void> {
  const filter = parseFilter(options);
  const only = parseOnly(options.only ?? []);
  const forMs = options.for === undefined ? null : lasting(options.for);
  if (options.exec?.trim() === "") throw new DeadpeerError("bad-option", "--exec: a command is missing");
  await interruptible(async (interrupted) => {
    const over = new AbortController();
    interrupted.addEventListener("abort", () => over.abort(), { once: true });
    using watch = watchHost({ filter, only, signal: over.signal });
    const timer = forMs === null ? null : setTimeout(() => over.abort(), forMs);
    const commands = options.exec === undefined ? null : new Commands(options.exec);
    using reporter = new Reporter(watch);
    try {
      await tell(watch, { json: options.json === true, commands, reporter, signal: over.signal });
    } finally {
      if (timer !== null) clearTimeout(timer);
      await commands?.close();
    }
    reporter.summarise(commands);
    if (interrupted.aborted) leaveUnread(process.stdout);
  });
}

/** How long a reader that has stopped reading holds up the end. */
const lastReadMs = 1_000;

/**
 * Ends the process although its reader takes nothing: Node waits for a pipe to be written, and `watch | less` would outlive its
 * Ctrl-C. The timer does not keep a process alive whose reader does take what is left.
 */
function leaveUnread(out: NodeJS.WriteStream): void {
  if (out.writableLength > 0) setTimeout(() => process.exit(), lastReadMs).unref();
}

function lasting(text: string): number {
  const ms = parseDuration(text, "--for");
  if (ms === 0) throw new DeadpeerError("bad-duration", "--for: 0 is no time to watch");
  if (ms > longestMs) throw new DeadpeerError("bad-duration", `--for: ${text} is too long; the most is 24d`);
  return ms;
}

interface Audience {
  readonly json: boolean;
  readonly commands: Commands | null;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

async function tell(watch: HostWatch, { json, commands, reporter, signal }: Audience): Promise<void> {
  const out = process.stdout;
  const write = json ? asJson : linesFor(out);
  let corked = false;
  for await (const obituary of watch) {
    reporter.count(obituary);
    commands?.run(asJson(obituary));
    // What was found at the same moment is written at once, and nothing later.
    if (!corked) {
      corked = true;
      out.cork();
      process.nextTick(() => {
        corked = false;
        out.uncork();
      });
    }
    // A slow reader is waited for, but not by one who wants to end it.
    if (!out.write(write(obituary)) && !signal.aborted) await drained(out, signal);
  }
}

async function drained(out: NodeJS.WriteStream, signal: AbortSignal): Promise<void> {
  try {
    await once(out, "drain", { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function asJson(obituary: Obituary): string {
  return `${JSON.stringify(obituary)}\n`;
}

/** The titles come with the first line. */
function linesFor(out: NodeJS.WriteStream): (obituary: Obituary) => string {
  const own = currentNamespace();
  const lines = new LineWriter(pageOf(out).table, !out.isTTY, own.name ?? own.path);
  let titles = `${lines.titles()}\n`;
  return (obituary) => {
    const text = `${titles}${lines.line(obituary)}\n`;
    titles = "";
    return text;
  };
}
