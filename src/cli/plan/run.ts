import type { Plan } from "../../plan/planner.js";
import { note } from "../note.js";
import { terminalOf } from "../output.js";
import { answer, type RequestOptions } from "./request.js";

/** What commander collects for `deadpeer plan`. */
export interface PlanCommandOptions extends RequestOptions {
  readonly for?: string;
  readonly list?: string;
  readonly json?: true;
}

/** Prints a plan, a snippet, or a catalogue. */
export async function run(options: PlanCommandOptions): Promise<void> {
  const terminal = terminalOf(process.stdout);
  if (options.list !== undefined) {
    const { catalogueAsJson, catalogueAsText } = await import("./catalogue.js");
    return print(
      options.json ? json(catalogueAsJson(options.list)) : catalogueAsText(options.list, terminal),
    );
  }
  const plan = answer(options);
  if (options.for !== undefined) return printSnippet(options.for, plan, options.json === true);
  if (options.json) return print(json(publicPart(plan)));
  const { reportOf } = await import("./report.js");
  return print(reportOf(plan, options, terminal));
}

/** The lines alone go to stdout, so that they can be sent straight into a file. */
async function printSnippet(target: string, plan: Plan, asJson: boolean): Promise<void> {
  const { snippetFor } = await import("../../plan/snippets/index.js");
  const snippet = snippetFor(target, plan.settings);
  if (asJson) return print(json({ ...publicPart(plan), snippet }));
  print(snippet.text);
  for (const text of snippet.notes) note(text);
  for (const { code, message } of plan.warnings) note(`${code}: ${message}`);
}

/** What `--json` shows of a plan. */
export function publicPart({ settings, detection, ridesOutMs, traffic, warnings }: Plan): object {
  return { settings, detection, ridesOutMs, traffic, warnings };
}

function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
