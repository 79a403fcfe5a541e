import { Command } from "commander";

export interface LabReportOptions {
  readonly out: string;
  readonly from?: string;
}

/** `deadpeer lab report`: one page with every scenario, drawn. */
export function labReportCommand(): Command {
  return new Command("report")
    .description(
      "runs scenarios, all unless named, and writes one page: each with a sequence diagram and expected beside seen; exit 1 if any fails",
    )
    .argument("[name...]", "scenarios by name, or files of your own")
    .option("--out <file>", "the page; - prints it", "deadpeer-lab.html")
    .option("--from <file>", "what `lab run --json --pcap …` printed, instead of a new run")
    .action(async (names: readonly string[], options: LabReportOptions) =>
      (await import("./lab-report/run.js")).run(names, options),
    );
}
