import type { Command } from "commander";
import { several } from "./filter-options.js";

/** The options that say what sockets shall hold, as they were typed. */
export interface SettingsOptions {
  readonly detect?: string;
  readonly path?: readonly string[];
  readonly outage?: string;
  readonly idle?: string;
  readonly interval?: string;
  readonly count?: string;
  readonly userTimeout?: string;
}

/**
 * Adds the settings that `set`, `run` and `policy` share. settings-request.ts reads what commander collects.
 *
 * @example settingsOptions(new Command("run")).opts<SettingsOptions>()
 */
export function settingsOptions(command: Command): Command {
  return command
    .optionsGroup("Settings, planned (see deadpeer plan):")
    .option("--detect <time>", "notice a dead peer within this time, e.g. 35s")
    .option("--path <name|time>", "a middlebox on the way, e.g. aws-nlb; may be repeated", several)
    .option("--outage <time>", "ride out an interruption of the path this long")
    .optionsGroup("Settings, one by one (what is left out stays as it is):")
    .option("--idle <time>", "silence before the first probe; switches keepalive on")
    .option("--interval <time>", "time between unanswered probes; likewise")
    .option("--count <n>", "unanswered probes until dead; likewise")
    .option("--user-timeout <time>", "limit for unacknowledged data; 0: the system's");
}
