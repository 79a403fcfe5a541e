import { findingsOf } from "../../http/measure/findings.js";
import type { HttpMeasured } from "../../http/measure/measurement.js";
import { safeSettings } from "../../http/measure/safe-settings.js";
import { settingsLines } from "./client-lines.js";

/** What `http --json` prints. */
export function httpJson(measured: HttpMeasured): object {
  const { target, address, look, idle, requests, cost, connectionHeader, problem, maxMs } = measured;
  const safe = safeSettings(measured);
  const isOver = idle !== null && idle.highMs !== null;
  return {
    url: target.url,
    persistent: look.whyNot === null,
    protocol: look.protocol,
    advertised: look.hint === null ? null : { timeoutMs: look.hint.timeoutMs, max: look.hint.max },
    measured: {
      idleTimeoutMs: isOver ? [Math.floor(idle.lowMs), Math.ceil(idle.highMs ?? 0)] : null,
      requestsPerConnection: requests?.limit ?? null,
      closedBy: idle?.by === "fin" || idle?.by === "rst" ? idle.by : null,
      endedBy: idle?.by ?? null,
      heldMs: idle === null ? null : Math.floor(idle.lowMs),
      maxMs,
      lateRequest: idle?.afterClose ?? (isOver && idle.by !== "fin" && idle.by !== "rst" ? idle.by : null),
      requestsAnswered: requests?.answered ?? null,
      closeAnnounced: requests === null || requests.limit === null ? null : requests.announced,
    },
    handshake: {
      newMs: rounded(cost?.newMs),
      reusedMs: rounded(cost?.reusedMs),
      newPackets: cost?.newPackets ?? null,
      reusedPackets: cost?.reusedPackets ?? null,
      samples: cost?.samples ?? 0,
    },
    findings: findingsOf(measured),
    recommend: { ...safe, settings: settingsLines(safe) },
    address,
    status: look.answer.status,
    location: look.location,
    rttMs: rounded(look.rttMs),
    connectionHeader,
    whyNotPersistent: look.whyNot,
    complete: problem === null,
    problem: problem?.message ?? null,
  };
}

/** To microseconds. */
function rounded(ms: number | null | undefined): number | null {
  return ms === null || ms === undefined ? null : Math.round(ms * 1_000) / 1_000;
}
