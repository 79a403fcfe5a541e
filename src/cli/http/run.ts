import { formatEndpoint } from "../../client/nat/target.js";
import { findingsOf, httpFindings } from "../../http/measure/findings.js";
import type { FirstLook } from "../../http/measure/first-look.js";
import { HttpMeasurement, type HttpMeasured } from "../../http/measure/measurement.js";
import { formatDuration } from "../../plan/duration.js";
import { interruptible } from "../interrupt.js";
import { note } from "../note.js";
import { terminalOf } from "../output.js";
import { ProgressLine } from "../progress-line.js";
import { failOnFindings, readCheck } from "./check.js";
import { type HttpCommandOptions, readRequest } from "./request.js";

export type { HttpCommandOptions } from "./request.js";

/**
 * `deadpeer http URL`: prints what was found, also where it ended early, and then throws the reason.
 *
 * @throws DeadpeerError `aborted`, `measurement-void`, and what readRequest and the measurement throw.
 */
export async function run(url: string, options: HttpCommandOptions): Promise<void> {
  const request = readRequest(url, options);
  const isFailure = readCheck(options.check, Object.keys(httpFindings));
  await interruptible(async (signal) => {
    const measurement = new HttpMeasurement({ ...request, signal });
    using progress = new ProgressLine(process.stderr, () => progressText(measurement));
    const measured = await measurement.run(
      (look) => {
        note(beginning(look, request.maxMs));
        if (look.location !== null && !request.follow)
          note(`it redirects to ${look.location}; --follow measures there`);
        if (look.answer.status >= 400)
          note(
            `status ${look.answer.status}: with an error many servers close connections that they keep otherwise`,
          );
        progress.start();
      },
      (next) => note(`redirected to ${next}`),
    );
    progress.stop();
    await report(measured, options);
    if (measured.problem !== null) throw measured.problem;
    if (isFailure(findingsOf(measured))) failOnFindings();
  });
}

async function report(measured: HttpMeasured, { json }: HttpCommandOptions): Promise<void> {
  if (json === true) {
    const { httpJson } = await import("./json.js");
    process.stdout.write(`${JSON.stringify(httpJson(measured), null, 2)}\n`);
    return;
  }
  const { httpReport } = await import("./report.js");
  process.stdout.write(`${httpReport(measured, terminalOf(process.stdout))}\n`);
}

function beginning({ server, addresses, protocol, whyNot }: FirstLook, maxMs: number): string {
  const { address } = server.options;
  const endpoint = formatEndpoint(address.address, address.port);
  const others = addresses > 1 ? `, the first that answers of ${addresses} addresses` : "";
  const what =
    whyNot === null
      ? `measuring up to ${formatDuration(maxMs)} against`
      : "connections are not kept, only looking at";
  return `${what} ${endpoint}${others}, ${protocol}; Ctrl-C ends it and reports`;
}

function progressText({ progress }: HttpMeasurement): string | null {
  if (progress === null) return null;
  const { waiting, idleMs, lowMs, highMs } = progress;
  return [
    `${waiting} connection${waiting === 1 ? "" : "s"} idle for ${formatDuration(Math.floor(idleMs / 1_000) * 1_000)}`,
    `of use after ${formatDuration(lowMs)}`,
    ...(highMs === null ? [] : [`over after ${formatDuration(highMs)}`]),
  ].join(", ");
}
