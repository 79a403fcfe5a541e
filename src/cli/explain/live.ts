import { type ChildProcess, spawn } from "node:child_process";
import { DeadpeerError } from "../../errors.js";
import { parseDuration } from "../../plan/duration.js";
import { note } from "../note.js";
import type { Source } from "./source.js";

/** Ethernet, two VLAN tags, IPv6 with some extension headers and TCP with all its options; payload is nobody's business. */
const snapBytes = 192;

/** ICMP's "destination unreachable" belongs to the flow that it quotes, so it passes whatever filter is asked for. */
const unreachable = "icmp[icmptype] == icmp-unreach or (icmp6 and ip6[40] == 1)";

export interface LiveOptions {
  readonly iface: string;
  readonly filter: string | undefined;
  /** As it was given, e.g. `60s`. */
  readonly for: string | undefined;
}

/**
 * Packets from the network, through tcpdump, until SIGINT, SIGTERM or the end of the time. What was seen by then counts: an
 * interrupt is how one ends it.
 *
 * @throws DeadpeerError `bad-duration`; while it is read: `tool-missing` without tcpdump, `permission-denied`, `bad-option` for what tcpdump
 * refuses.
 */
export function liveSource({ iface, filter, for: forTime }: LiveOptions): Source {
  const forMs = forTime === undefined ? null : parseDuration(forTime, "--for");
  return { name: iface, chunks: watch(iface, filter, forMs), path: null };
}

async function* watch(
  iface: string,
  filter: string | undefined,
  forMs: number | null,
): AsyncGenerator<Uint8Array> {
  const expression = `(tcp${filter === undefined ? "" : ` and (${filter})`}) or ${unreachable}`;
  // -U: each packet at once. -n: no names are looked up.
  const args = ["-i", iface, "-n", "-U", "-s", String(snapBytes), "-w", "-", expression];
  const child = spawn("tcpdump", args, { stdio: ["ignore", "pipe", "pipe"] });
  const ending = endingOf(child);
  const stop = (): void => void child.kill("SIGINT");
  const timer = forMs === null ? null : setTimeout(stop, forMs);
  process.on("SIGINT", stop).on("SIGTERM", stop);
  try {
    for await (const chunk of child.stdout) yield chunk as Uint8Array;
    const { failure, complaint, seen } = await ending;
    if (failure !== null) throw failure;
    if (!seen) throw refusal(iface, complaint);
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
    if (timer !== null) clearTimeout(timer);
    child.kill("SIGINT");
    await ending;
  }
}

interface Ending {
  readonly failure: DeadpeerError | null;
  readonly complaint: string;
  /** It got as far as capturing. */
  readonly seen: boolean;
}

function endingOf(child: ChildProcess): Promise<Ending> {
  let complaint = "";
  let seen = false;
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
    const listening = /listening on (\S+?),/.exec(complaint);
    if (listening === null || seen) return;
    seen = true;
    note(`watching ${listening[1]}; Ctrl-C ends it and reports`);
  });
  return new Promise((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      const message =
        "watching a network needs tcpdump, which cannot be started; install the package tcpdump";
      resolve({ failure: new DeadpeerError("tool-missing", message, { cause: error }), complaint, seen });
    });
    child.once("close", () => resolve({ failure: null, complaint, seen }));
  });
}

function refusal(iface: string, complaint: string): DeadpeerError {
  const reason = complaint
    .trim()
    .split("\n")
    .map((line) => line.replace(/^tcpdump: /, "").trim())
    .join("; ");
  if (/permission|not permitted/i.test(reason))
    return new DeadpeerError(
      "permission-denied",
      `capturing on ${iface} needs CAP_NET_RAW; run as root (tcpdump: ${reason})`,
    );
  return new DeadpeerError("bad-option", `tcpdump refuses to capture on ${iface}: ${reason}`);
}
