import { decide } from "../../host/advise/decide.js";
import { examineProgram } from "../../host/advise/examine.js";
import type { WayRequest } from "../../host/advise/way.js";
import { parsePid } from "../../host/filter.js";
import { formatDuration } from "../../plan/duration.js";
import { describeSettings } from "../../plan/planner.js";
import { note } from "../note.js";
import { terminalOf } from "../output.js";
import type { SettingsOptions } from "../settings-options.js";
import { givenNames, planFrom, readSettingsRequest, settingsFrom } from "../settings-request.js";
import { settingsWords } from "../settings-words.js";
import { adviceJson } from "./json.js";
import { adviceText } from "./text.js";

/** What commander collects for `deadpeer advise`. */
export interface AdviseOptions extends SettingsOptions {
  readonly pid: string;
  readonly json?: true;
}

export async function runAdvise(options: AdviseOptions): Promise<void> {
  const pid = parsePid(options.pid);
  const { wantedMs, ...request } = requestFrom(options);
  const facts = examineProgram(pid, wantedMs);
  const advice = decide(facts, request);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify(adviceJson(facts, advice), null, 2)}\n`
      : adviceText(facts, advice, terminalOf(process.stdout)),
  );
  for (const line of facts.unseen) note(line);
}

const usual = "35s";

function requestFrom(given: SettingsOptions): WayRequest & { readonly wantedMs: number } {
  const options =
    given.detect === undefined && givenNames(given).length === 0 ? { ...given, detect: usual } : given;
  const { settings, budgetMs, detection } =
    options.detect === undefined
      ? describeSettings(settingsFrom(options))
      : planFrom(options, options.detect);
  const wantedMs =
    budgetMs ??
    Math.max(detection.idleMs ?? Number.POSITIVE_INFINITY, detection.sendingMs ?? Number.POSITIVE_INFINITY);
  return {
    change: readSettingsRequest(options, "advise").change,
    words: settingsWords(options),
    settings,
    within: Number.isFinite(wantedMs) ? formatDuration(wantedMs) : "any time",
    wantedMs,
  };
}
