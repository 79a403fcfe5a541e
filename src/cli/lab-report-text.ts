import { discardedWords, type ScenarioResult } from "../lab/run/result.js";
import { formatDuration } from "../plan/duration.js";
import { paint, terminalOf, wrap } from "./output.js";

/** The results for people: each scenario with what was expected beside what was seen. */
export function reportText(results: readonly ScenarioResult[], stream: NodeJS.WriteStream): string {
  const terminal = terminalOf(stream);
  const parts = results.map((result) => {
    const again = discardedWords(result);
    const mark = result.passed ? paint(terminal, "green", "passed") : paint(terminal, "red", "failed");
    const lines = [
      `${mark}  ${paint(terminal, "bold", `${result.name}, IPv${result.family}`)}: ${result.title}`,
      ...(result.belief === null ? [] : [wrap(terminal, `Belief: ${result.belief}`, "  ")]),
      wrap(terminal, `Here: ${result.outcome}`, "  "),
      ...(result.problem === null
        ? []
        : [wrap(terminal, `The lab could not go on: ${result.problem}`, "  ")]),
      ...(again === null ? [] : [wrap(terminal, again, "  ")]),
      ...result.expected.map(({ text, passed, observed }) => {
        const sign = passed ? paint(terminal, "green", "+") : paint(terminal, "red", "-");
        return `  ${sign} ${wrap(terminal, `${text}: ${observed}`, "    ").trimStart()}`;
      }),
      ...(result.verdict === null
        ? []
        : [wrap(terminal, `Verdict: ${result.verdict.state}. ${result.verdict.sentence}`, "  ")]),
      ...(result.pcap === null ? [] : [`  Capture: ${result.pcap}`]),
    ];
    return lines.join("\n");
  });
  const failed = results.filter(({ passed }) => !passed).length;
  const longest = Math.max(0, ...results.map(({ durationMs }) => durationMs));
  const summary = `${results.length - failed} of ${results.length} runs passed; the longest took ${formatDuration(longest)}.`;
  return `${[...parts, summary].join("\n\n")}\n`;
}
