import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";
import type { EventKind, Explanation } from "../../src/capture/index.js";

/** For `test(name, { skip: needsTshark }, …)`. */
export const needsTshark: string | false =
  spawnSync("tshark", ["--version"]).status === 0 ? false : "needs tshark";

/** Wireshark's field for each kind that it has a field of analysis for. */
export const analysisFields: Readonly<Partial<Record<EventKind, string>>> = {
  "keep-alive": "tcp.analysis.keep_alive",
  "keep-alive-ack": "tcp.analysis.keep_alive_ack",
  "zero-window": "tcp.analysis.zero_window",
  "zero-window-probe": "tcp.analysis.zero_window_probe",
  "zero-window-probe-ack": "tcp.analysis.zero_window_probe_ack",
  "window-full": "tcp.analysis.window_full",
  retransmission: "tcp.analysis.retransmission",
  "fast-retransmission": "tcp.analysis.fast_retransmission",
  "spurious-retransmission": "tcp.analysis.spurious_retransmission",
  "duplicate-ack": "tcp.analysis.duplicate_ack",
  "out-of-order": "tcp.analysis.out_of_order",
};

/** For each kind the frames that have it, e.g. `{ "keep-alive": [7, 9] }`. Kinds without a frame are left out. */
export type FramesByKind = Partial<Record<EventKind, number[]>>;

/** What tshark says about a capture, with its settings as they come. */
export async function askTshark(path: string): Promise<FramesByKind> {
  const fields = Object.entries(analysisFields);
  const { stdout } = await promisify(execFile)(
    "tshark",
    ["-n", "-r", path, "-T", "fields", "-E", "separator=|", "-e", "frame.number"]
      .concat(fields.flatMap(([, field]) => ["-e", field]))
      .concat(["-Y", "tcp.analysis.flags"]),
    { encoding: "utf8", maxBuffer: 2 ** 30 },
  );
  const frames: FramesByKind = {};
  for (const line of stdout.split("\n").filter((text) => text !== "")) {
    const [frame, ...values] = line.split("|");
    for (const [index, value] of values.entries()) {
      const kind = fields[index]?.[0] as EventKind;
      if (value !== "") (frames[kind] ??= []).push(Number(frame));
    }
  }
  return onlyOneRetransmission(frames);
}

/** Wireshark names fast and spurious retransmissions plain ones as well. */
function onlyOneRetransmission(frames: FramesByKind): FramesByKind {
  const special = new Set([
    ...(frames["fast-retransmission"] ?? []),
    ...(frames["spurious-retransmission"] ?? []),
  ]);
  const plain = (frames.retransmission ?? []).filter((frame) => !special.has(frame));
  const { retransmission: _, ...others } = frames;
  return plain.length === 0 ? others : { ...others, retransmission: plain };
}

/** The same of ours. */
export function framesByKind({ flows }: Explanation): FramesByKind {
  const frames: FramesByKind = {};
  for (const { events } of flows)
    for (const { frame, kind } of events) if (kind in analysisFields) (frames[kind] ??= []).push(frame);
  for (const list of Object.values(frames)) list.sort((a, b) => a - b);
  return frames;
}
