import { formatDuration } from "../../plan/duration.js";

/** Settings as a scenario gives them, times in milliseconds. */
interface ScenarioSettings {
  readonly idle?: number;
  readonly interval?: number;
  readonly count?: number;
  readonly userTimeout?: number;
}

/** @example settingsWords({ idle: 1000, interval: 1000, count: 3 }) // "keepalive idle 1s, interval 1s, count 3" */
export function settingsWords(given: unknown): string {
  const { idle, interval, count, userTimeout } = (given ?? {}) as ScenarioSettings;
  const keepalive = [
    idle === undefined ? null : `idle ${formatDuration(idle)}`,
    interval === undefined ? null : `interval ${formatDuration(interval)}`,
    count === undefined ? null : `count ${count}`,
  ].filter((part) => part !== null);
  const parts = [
    keepalive.length === 0 ? "no keepalive" : `keepalive ${keepalive.join(", ")}`,
    ...(userTimeout === undefined || userTimeout === 0
      ? []
      : [`user timeout ${formatDuration(userTimeout)}`]),
  ];
  return parts.join("; ");
}
