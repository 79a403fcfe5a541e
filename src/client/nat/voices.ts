import { systemClock } from "../../kernel/clock.js";
import type { Control } from "./control.js";
import type { Lane } from "./lane.js";
import type { Outcome } from "./search/outcome.js";
import { wait } from "./wait.js";

/** Room for five probes of the kernel's, a second apart, or as many retransmissions. */
const leastPatienceMs = 5_000;

/** Speaks on a connection that has been silent, and says what became of it. */
export type Voice = (lane: Lane, control: Control, signal: AbortSignal) => Promise<Outcome>;

/** How long an answer is waited for. */
export function patienceMs({ roundTripMs }: Pick<Control, "roundTripMs">): number {
  return Math.max(leastPatienceMs, 8 * roundTripMs);
}

/**
 * Our kernel speaks: a keepalive probe, which any TCP answers, whatever its program speaks or does (RFC 9293 section 3.8.4). That
 * the answer came is seen in the time of the last acknowledgement.
 */
export const probing: Voice = async (lane, control, signal) => {
  const silentMs = lane.silentAtLeastMs;
  const heardBeforeMs = lastHeardMs(lane);
  lane.connection.probe();
  const atMostMs = lane.silentAtMostMs;
  // The silence was a second or more, so an answer is that much younger; and the kernel counts in ticks of up to 10 ms.
  const end = await answered(lane, control, signal, () => lastHeardMs(lane) > heardBeforeMs + 500);
  return outcomeOf(end, silentMs, atMostMs);
};

/** Our program speaks, and the echo server answers: through everything that is between. */
export const asking: Voice = async (lane, control, signal) => {
  const silentMs = lane.silentAtLeastMs;
  lane.connection.write("ping");
  const atMostMs = lane.silentAtMostMs;
  const end = await answered(lane, control, signal, () => lane.connection.lines.includes("pong"));
  return outcomeOf(end, silentMs, atMostMs);
};

/** The echo server speaks first, told to over the control connection. */
export const listening: Voice = async (lane, control, signal) => {
  const silentMs = lane.silentAtLeastMs;
  if ((await control.ask(`speak ${lane.id}`)) !== `spoke ${lane.id}`) return { kind: "void" };
  const atMostMs = lane.silentAtMostMs;
  const end = await answered(lane, control, signal, () => lane.connection.lines.includes("spoken"));
  if (end !== "silent") return outcomeOf(end, silentMs, atMostMs);
  // A box may have answered the server with a reset that we never see.
  const fate = await control.ask(`look ${lane.id}`);
  return outcomeOf(fate === `reset ${lane.id}` ? "reset" : "silent", silentMs, atMostMs);
};

type Answer = "answered" | "reset" | "silent" | "unknown";

async function answered(
  lane: Lane,
  control: Control,
  signal: AbortSignal,
  isAnswered: () => boolean,
): Promise<Answer> {
  const askedMs = systemClock.monotonic();
  const untilMs = askedMs + patienceMs(control);
  for (;;) {
    if (isAnswered()) return "answered";
    const { ended } = lane.connection;
    // An orderly end is an answer, too.
    if (ended !== null)
      return ended.how === "closed" ? "answered" : ended.how === "reset" ? "reset" : "silent";
    const nowMs = systemClock.monotonic();
    if (nowMs >= untilMs) break;
    await wait(nowMs - askedMs < 500 ? 10 : 100, signal);
  }
  // What an outage has swallowed was not forgotten; and while this machine slept, the silence was longer than our clock knows.
  const { upSinceMs, awakeSinceMs } = control;
  return upSinceMs === null || upSinceMs > askedMs || awakeSinceMs > lane.openedMs ? "unknown" : "silent";
}

function outcomeOf(answer: Answer, silentMs: number, atMostMs: number): Outcome {
  switch (answer) {
    case "answered":
      return { kind: "survived", silentMs };
    case "unknown":
      return { kind: "void" };
    default:
      return { kind: "lost", how: answer, silentMs: atMostMs };
  }
}

/** On the monotonic clock. */
function lastHeardMs({ connection }: Lane): number {
  return systemClock.monotonic() - (connection.info()?.lastAckRecvMs ?? 0);
}
