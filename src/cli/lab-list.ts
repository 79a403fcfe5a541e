import { builtinScenarios } from "../lab/scenario/load.js";
import { table, terminalOf } from "./output.js";

/** `deadpeer lab list`. */
export function list({ json }: { readonly json?: boolean }): void {
  const scenarios = builtinScenarios();
  if (json === true) {
    const entries = scenarios.map(({ name, title, belief, outcome, families, lasts }) => ({
      name,
      title,
      belief: belief ?? null,
      outcome,
      families: families ?? [4, 6],
      lastsMs: lasts,
    }));
    process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`);
    return;
  }
  const terminal = terminalOf(process.stdout);
  const rows = scenarios.map(({ name, title }) => [{ text: name }, { text: title }]);
  const text = table(terminal, [{ title: "NAME" }, { title: "WHAT HAPPENS", shrinkTo: 20 }], rows);
  process.stdout.write(`${text}\n`);
}
