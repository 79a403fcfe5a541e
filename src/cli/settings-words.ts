import type { SettingsOptions } from "./settings-options.js";

/**
 * The settings options as they are typed.
 *
 * @example settingsWords({ detect: "35s", path: ["aws-nlb"] }) // ["--detect", "35s", "--path", "aws-nlb"]
 */
export function settingsWords(options: SettingsOptions): string[] {
  const { detect, path, outage, idle, interval, count, userTimeout } = options;
  return Object.entries({
    "--detect": detect,
    "--path": path,
    "--outage": outage,
    "--idle": idle,
    "--interval": interval,
    "--count": count,
    "--user-timeout": userTimeout,
  }).flatMap(([name, given]) => [given ?? []].flat().flatMap((value) => [name, value]));
}
