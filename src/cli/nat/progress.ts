import type { Progress } from "../../client/nat/exploration.js";
import { formatDuration } from "../../plan/duration.js";

/** How far a measurement has come, in a line; null: it has not begun. */
export function progressText(progress: Progress | null): string | null {
  if (progress === null) return null;
  const { bracket, waiting, remainingMs } = progress;
  return [
    `survived ${formatDuration(bracket.survivedMs)}`,
    ...(bracket.lostMs === null ? [] : [`lost after ${formatDuration(bracket.lostMs)}`]),
    `${waiting} connection${waiting === 1 ? "" : "s"} waiting`,
    `at most ${formatDuration(Math.ceil(remainingMs / 1_000) * 1_000)} left`,
  ].join(", ");
}
