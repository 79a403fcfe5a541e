import { DeadpeerError } from "../../errors.js";
import { type FilterOptions, parseFilter } from "../../host/filter.js";
import { repair, type RepairOptions } from "../../host/repair/repair.js";
import type { SettingsChange } from "../../plan/settings.js";
import { requireLinux } from "../../kernel/platform.js";
import { interruptible } from "../interrupt.js";
import { note } from "../note.js";
import type { SettingsOptions } from "../settings-options.js";
import { defeating, givenNames, readSettingsRequest } from "../settings-request.js";
import { sayGaps } from "./gaps.js";
import { giveWay } from "./give-way.js";
import { printRepair, sayWaiting } from "./print.js";

/** What commander collects for `deadpeer set`. */
export interface SetOptions extends FilterOptions, SettingsOptions {
  readonly off?: boolean;
  readonly onlyUnset?: boolean;
  readonly all?: boolean;
  readonly dryRun?: boolean;
  /** true: without an interval. */
  readonly watch?: string | true;
  readonly for?: string;
  /** true: without a run. */
  readonly undo?: string | true;
  readonly json?: boolean;
}

export async function runSet(options: SetOptions): Promise<void> {
  refuseContradictions(options);
  requireLinux("sockets that can be borrowed from other processes");
  giveWay();
  if (options.undo !== undefined) {
    const { undo } = await import("./undo.js");
    await undo(options.undo === true ? undefined : options.undo, options);
    return;
  }
  const wanted: RepairOptions = {
    filter: parseFilter(options),
    all: options.all ?? false,
    change: changeFrom(options),
    onlyUnset: options.onlyUnset ?? false,
    label: label(),
    dryRun: options.dryRun ?? false,
    ...sayWaiting,
  };
  if (options.watch !== undefined) {
    const { watch } = await import("./watch.js");
    await watch(wanted, options);
    return;
  }
  const done = await interruptible((signal) => repair({ ...wanted, signal }));
  printRepair(done, options);
  sayGaps(done, wanted.filter ?? null);
}

function changeFrom(options: SetOptions): SettingsChange {
  if (options.off === true) return { keepalive: null, userTimeoutMs: 0 };
  const request = readSettingsRequest(options, "set");
  for (const { message } of defeating(request)) note(message);
  return request.change;
}

/** Enough to recognise the run by. */
const labelLength = 200;

function label(): string {
  return process.argv.slice(2).join(" ").slice(0, labelLength);
}

function refuseContradictions(options: SetOptions): void {
  const { off, undo, watch, dryRun, for: duration, all, json: _json, ...rest } = options;
  const settings = [
    ...givenNames(options),
    ...(["detect", "path", "outage"] as const)
      .filter((name) => options[name] !== undefined)
      .map((name) => `--${name}`),
  ];
  if (
    undo !== undefined &&
    (Object.keys(rest).length > 0 || all === true || off === true || watch !== undefined)
  )
    throw new DeadpeerError(
      "bad-option",
      "--undo puts back what was there before a run, for all of its connections; it takes no filters and no settings",
    );
  if (off === true && options.onlyUnset === true)
    throw new DeadpeerError(
      "bad-option",
      "--off switches off what programs have set; leave out --only-unset",
    );
  if (off === true && settings.length > 0)
    throw new DeadpeerError("bad-option", `--off leaves no meaning to ${settings.join(", ")}`);
  if (watch !== undefined && dryRun === true)
    throw new DeadpeerError(
      "bad-option",
      "--watch changes what appears and --dry-run changes nothing; give one of them",
    );
  if (duration !== undefined && watch === undefined)
    throw new DeadpeerError("bad-option", "--for only means something with --watch");
}
