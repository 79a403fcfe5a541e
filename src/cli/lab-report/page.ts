import { drawSequence } from "../../diagram/draw.js";
import { html, type Markup } from "../../diagram/html.js";
import type { Sequence } from "../../diagram/sequence.js";
import type { Expected, ScenarioResult } from "../../lab/index.js";
import { onlyTheProgramKnows } from "../../lab/run/agreement.js";
import { discardedWords } from "../../lab/run/result.js";
import { formatDuration } from "../../plan/duration.js";
import type { Verdict } from "../../verdict/verdict.js";
import { page } from "../html-page.js";
import { settingsWords } from "./settings-words.js";

/** Where the results are from. */
export interface Occasion {
  /** Milliseconds since 1970; null: nothing could be run. */
  readonly at: number | null;
  /** null: not known. */
  readonly kernel: string | null;
}

/** One scenario with its results, over one or both families, and the diagrams of each. */
export interface Chapter {
  readonly results: readonly [ScenarioResult, ...ScenarioResult[]];
  readonly pictures: readonly Sequence[];
}

const style = `
.mark { font-weight: 700; }
td.seen { font-variant-numeric: tabular-nums; }
.belief { border-left: 3px solid var(--again); padding-left: 0.8rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.3rem; }
`;

/** The report on a whole run of the lab. */
export function labPage(chapters: readonly Chapter[], { at, kernel }: Occasion): string {
  const results = chapters.flatMap(({ results: each }) => each);
  const failed = results.filter(({ passed }) => !passed).length;
  const verdict =
    failed === 0
      ? html`<span class="good">all ${results.length} runs went as expected</span>`
      : html`<span class="bad">${failed} of ${results.length} runs did not go as expected</span>`;
  const where = [
    ...(kernel === null ? [] : [`Linux ${kernel}`]),
    ...(at === null ? [] : [`${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC`]),
  ].join(", ");
  const body = html`<h1>What a kernel does when the other side is gone</h1>
<p>${chapters.length} scenarios, ${verdict}. ${where}</p>
<p class="dim">Each scenario ran on hosts of its own, made of network namespaces with a router between, with real programs, real faults and the real kernel. Diagrams are drawn from the packets captured there; 0 is the moment in which all connections stood. Where time is cut short the lifelines are broken and the time is written.</p>
${contents(chapters)}
${chapters.map(chapterSection)}`;
  return page("deadpeer lab report", body, style);
}

function contents(chapters: readonly Chapter[]): Markup {
  const families = [...new Set(chapters.flatMap(({ results }) => results.map(({ family }) => family)))].sort(
    (one, other) => one - other,
  );
  return html`<div class="scroll"><table>
<thead><tr><th>scenario</th><th>what happens</th>${families.map((family) => html`<th>IPv${family}</th>`)}<th>verdict</th><th class="number">noticed after</th></tr></thead>
<tbody>
${chapters.map(({ results }) => {
  const [first] = results;
  return html`<tr><td><a href="#${first.name}">${first.name}</a></td><td>${prose(first.title)}</td>${families.map((family) => html`<td>${outcomeMark(results.find((result) => result.family === family))}</td>`)}<td>${first.verdict?.state ?? "lives on"}</td><td class="number">${noticed(first.verdict)}</td></tr>
`;
})}</tbody></table></div>`;
}

function noticed(verdict: Verdict | null): string {
  return verdict === null || verdict.detectedAfterMs === null ? "" : formatDuration(verdict.detectedAfterMs);
}

function outcomeMark(result: ScenarioResult | undefined): Markup | null {
  return result === undefined ? null : mark(result.passed);
}

/** A sign with its meaning in words for those who hear the page. */
function mark(passed: boolean): Markup {
  return passed
    ? html`<span class="mark good" role="img" aria-label="as expected">✓</span>`
    : html`<span class="mark bad" role="img" aria-label="not as expected">✗</span>`;
}

function chapterSection({ results, pictures }: Chapter): Markup {
  const [first] = results;
  return html`<section id="${first.name}">
<h2>${prose(first.title)}</h2>
<p>${prose(first.outcome)}</p>
${first.belief === null ? null : html`<p class="belief"><strong>Belief against kernel:</strong> ${prose(first.belief)}</p>`}
${results.map(problem)}
${results.map(measuredAgain)}
<dl>${settings(first)}${results.map(verdicts)}</dl>
${expectations(results)}
${pictures.length === 0 ? html`<p class="dim">No capture was kept, so there is no diagram.</p>` : null}
${pictures.map((sequence) => html`<figure>${drawSequence(sequence)}</figure>`)}
</section>
`;
}

/** Scenarios write code between backticks. */
function prose(text: string): Markup[] {
  return text.split("`").map((part, index) => (index % 2 === 0 ? html`${part}` : html`<code>${part}</code>`));
}

function problem({ family, problem: what }: ScenarioResult): Markup | null {
  return what === null ? null : html`<p class="bad">IPv${family}: ${what}</p>`;
}

function measuredAgain(result: ScenarioResult): Markup | null {
  const words = discardedWords(result);
  return words === null ? null : html`<p class="dim">IPv${result.family}: ${words}</p>`;
}

function settings({ connections }: ScenarioResult): Markup[] {
  return connections.map(
    ({ name, from, to, port, settings: given }) =>
      html`<dt>${name}</dt><dd>${from} → ${to}, port ${port}: ${settingsWords(given)}</dd>`,
  );
}

function verdicts({ family, verdict, wireVerdict }: ScenarioResult): Markup {
  if (verdict === null) return html`<dt>verdict, IPv${family}</dt><dd>none: the connection lives on</dd>`;
  return html`<dt>verdict, IPv${family}</dt><dd>${verdict.sentence}${agreement(verdict, wireVerdict)}</dd>`;
}

/** Whether the capture alone gives what the guard in the program gave. */
function agreement(guard: Verdict, wire: Verdict | null): Markup | null {
  if (wire === null) return null;
  if (wire.state === guard.state) return html` <span class="dim">(the capture alone says so too)</span>`;
  return onlyTheProgramKnows(guard)
    ? html` <span class="dim">(which only the program can know; the capture alone says ${wire.state})</span>`
    : html` <span class="bad">(the capture alone says ${wire.state})</span>`;
}

/** What was expected beside what was seen; one column a family, one row an expectation. */
function expectations(results: Chapter["results"]): Markup | null {
  const rows = new Map<string, string>();
  for (const { text } of results.flatMap(({ expected }) => expected))
    if (!rows.has(withoutTimes(text))) rows.set(withoutTimes(text), text);
  if (rows.size === 0) return null;
  return html`<h3>Expected and seen</h3>
<div class="scroll"><table>
<thead><tr><th>expected</th>${results.map(({ family }) => html`<th>seen, IPv${family}</th>`)}</tr></thead>
<tbody>
${[...rows].map(
  ([row, text]) =>
    html`<tr><td>${text}</td>${results.map(({ expected }) => html`<td class="seen">${seen(expected, row)}</td>`)}</tr>
`,
)}</tbody></table></div>`;
}

/** A window that counts from a step is a little different in each run; it is the same expectation. */
function withoutTimes(text: string): string {
  return text.replace(/, \S+ to \S+$/, "");
}

/** Two expectations of a scenario may differ in their windows only: they share a row. */
function seen(expected: readonly Expected[], row: string): Markup[] {
  return expected
    .filter(({ text }) => withoutTimes(text) === row)
    .map(({ passed, observed }) => html`<div>${mark(passed)} ${observed}</div>`);
}
