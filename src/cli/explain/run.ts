import type { Explanation } from "../../capture/index.js";
import { DeadpeerError } from "../../errors.js";
import { exitStatus } from "../exit.js";
import { note } from "../note.js";
import { keeping, openSource, type Source } from "./source.js";
import { parseWish, type Wish } from "./wish.js";

/** What commander makes of the command line. */
export interface ExplainCommandOptions {
  readonly json?: boolean;
  readonly html?: string;
  readonly all?: boolean;
  readonly flow?: string;
  readonly port?: string;
  readonly iface?: string;
  readonly filter?: string;
  readonly for?: string;
  readonly pcap?: string;
}

/** `deadpeer explain`; leaves `badInput` in process.exitCode if the input was not whole. */
export async function run(file: string | undefined, options: ExplainCommandOptions): Promise<void> {
  refuseContradictions(file, options);
  const wish = parseWish(options);
  const source = await sourceOf(file, options);
  const explanation = await reportIn(source, wish, options).catch((cause: unknown) => {
    throw cause instanceof DeadpeerError && cause.code === "bad-capture" ? named(source, cause) : cause;
  });
  for (const { message } of explanation.problems) note(`${source.name}: ${message}`);
  if (explanation.problems.length > 0) process.exitCode = exitStatus.badInput;
}

/** Whoever reads a capture knows its bytes, not what it is called. */
function named({ name }: Source, cause: DeadpeerError): DeadpeerError {
  return new DeadpeerError("bad-capture", `${name}: ${cause.message}`, { cause });
}

async function reportIn(source: Source, wish: Wish, options: ExplainCommandOptions): Promise<Explanation> {
  if (options.json === true) {
    const { writeJson } = await import("./json.js");
    return writeJson(source, wish, process.stdout);
  }
  if (options.html !== undefined) {
    const { writePage } = await import("./page.js");
    return writePage(source, wish, options.html);
  }
  const { writeText } = await import("./text.js");
  return writeText(source, wish, process.stdout);
}

/** What watches a network is loaded only where one is watched. */
async function sourceOf(file: string | undefined, options: ExplainCommandOptions): Promise<Source> {
  const { iface, filter, pcap } = options;
  if (iface === undefined) {
    const source = openSource(file ?? "-");
    return pcap === undefined ? source : keeping(source, pcap);
  }
  const { liveSource } = await import("./live.js");
  const source = liveSource({ iface, filter, for: options.for });
  return pcap === undefined ? source : keeping(source, pcap);
}

function refuseContradictions(file: string | undefined, options: ExplainCommandOptions): void {
  const { json, html, iface, filter, pcap } = options;
  if (json === true && html !== undefined)
    throw refuse("--json and --html both say what to write; give one of them");
  if (file === undefined && iface === undefined)
    throw refuse("nothing to explain: name a capture, - for stdin, or a network with --iface");
  if (file !== undefined && iface !== undefined)
    throw refuse(`the capture ${file} and --iface ${iface} are two sources; give one of them`);
  if (iface === undefined && filter !== undefined)
    throw refuse("--filter is for --iface; a file is chosen from by --port");
  if (iface === undefined && options.for !== undefined)
    throw refuse("--for is for --iface: a file has an end");
  if (iface === undefined && pcap !== undefined && file !== "-")
    throw refuse(`--pcap keeps what is watched; ${file} is kept already`);
}

function refuse(message: string): DeadpeerError {
  return new DeadpeerError("bad-option", message);
}
