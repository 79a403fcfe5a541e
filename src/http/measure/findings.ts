import { formatDuration } from "../../plan/duration.js";
import type { HttpMeasured } from "./measurement.js";
import { marginMs } from "./safe-settings.js";

/** What `http` can find, in the order in which it is told. */
export const httpFindings = {
  "no-keep-alive": "the server does not keep the connection after an answer",
  "truncated-answer": "the connection ended in the middle of an answer",
  "unasked-bytes": "the server sends more than its answer has, so that answers cannot be told apart",
  "malformed-keep-alive": "the Keep-Alive header has a value that is no number, or an absurd one",
  "advertises-more-than-it-keeps": "the server closes sooner than its Keep-Alive header says",
  "fewer-requests-than-advertised": "the server takes fewer requests on a connection than its header says",
  "closes-with-rst": "the server ends an idle connection with a reset, which can take an answer with it",
  "forgets-silently":
    "a late request is neither answered nor refused: somebody has forgotten the connection, and nobody says so",
  "refuses-late-requests":
    "the server lets an idle connection stand, and then resets or closes it instead of answering",
  "race-window":
    "a request that crosses the server's FIN fails, and the server does not tell clients in time when it will close",
  "closes-unannounced": "the server ends a connection after some requests without a word in the last answer",
  "close-not-honoured": 'the server keeps a connection although the request said "Connection: close"',
  "idle-varies": "the server keeps some connections for much longer than others",
} as const;

export type HttpFindingCode = keyof typeof httpFindings;

export interface HttpFinding {
  readonly code: HttpFindingCode;
  readonly message: string;
}

/** Our own clock, and the network's jitter. */
const toleranceMs = 100;

/** What is wrong with a server's keep-alive, and what it does to clients. */
export function findingsOf(measured: HttpMeasured): HttpFinding[] {
  const found: HttpFinding[] = [];
  const add = (code: HttpFindingCode, message: string): void => void found.push({ code, message });
  const { look, connectionHeader } = measured;
  if (look.brokenOff)
    add(
      "truncated-answer",
      `The answer ended after ${look.answer.bodyBytes} bytes of its body, before its end.`,
    );
  else if (look.unaskedBytes > 0)
    add(
      "unasked-bytes",
      `${look.unaskedBytes} bytes came that belong to no answer: a client that uses the connection again takes them for the next answer.`,
    );
  if (look.whyNot !== null)
    add(
      "no-keep-alive",
      `The server ${look.whyNot}. Every request costs a new connection, and with TLS a handshake.`,
    );
  for (const problem of look.hint?.problems ?? [])
    add("malformed-keep-alive", `The Keep-Alive header says ${problem}; clients ignore it, or fail on it.`);
  advertised(measured, add);
  endings(measured, add);
  if (connectionHeader?.closeHonoured === false)
    add(
      "close-not-honoured",
      'The server keeps the connection although the request said "Connection: close": clients that wait for the end hang.',
    );
  return found;
}

type Add = (code: HttpFindingCode, message: string) => void;

function advertised({ look, idle, requests }: HttpMeasured, add: Add): void {
  const said = look.hint?.timeoutMs ?? null;
  if (said !== null && idle !== null && idle.highMs !== null && said > idle.lowMs + toleranceMs)
    add(
      "advertises-more-than-it-keeps",
      `The server says that it keeps an idle connection for ${formatDuration(said)}, and ends it after ${formatDuration(idle.lowMs)}: clients that believe it send requests into a closed connection.`,
    );
  const max = look.hint?.max ?? null;
  if (max !== null && requests !== null && requests.limit !== null && requests.limit < max)
    add(
      "fewer-requests-than-advertised",
      `The server says that it takes ${max} more requests on the connection, and took ${requests.limit}.`,
    );
}

function endings(measured: HttpMeasured, add: Add): void {
  const { idle, requests } = measured;
  if (requests !== null && requests.limit !== null && !requests.announced)
    add(
      "closes-unannounced",
      `The server ended the connection after ${requests.limit} request${requests.limit === 1 ? "" : "s"} without "Connection: close" in its last answer: the next request fails.`,
    );
  if (idle === null || idle.highMs === null) return;
  const after = formatDuration(idle.lowMs);
  switch (idle.by) {
    case "rst":
      add(
        "closes-with-rst",
        `The server ends an idle connection with a reset, after ${after}: a client sees an error where an orderly end would have been no event, and a request that crosses it is lost.`,
      );
      break;
    case "lost":
      add(
        "forgets-silently",
        `After ${after} to ${formatDuration(idle.highMs)} a request is not answered, and nothing says why: a client waits until its own time is up. A firewall, NAT or load balancer between, rather than the server.`,
      );
      break;
    case "reset":
    case "closed":
      add(
        "refuses-late-requests",
        `The server, or something between, lets an idle connection stand, and after ${after} to ${formatDuration(idle.highMs)} ${idle.by === "reset" ? "resets" : "closes"} it instead of answering the next request.`,
      );
      break;
    default:
      race(measured, add);
  }
  if (idle.outlived > 0)
    add(
      "idle-varies",
      `${idle.outlived} connections still stood when others had long been closed: several servers with different settings, or one that closes when it needs room.`,
    );
}

/** A server that says early enough when it will close leaves no race to clients who listen. */
function race({ look, idle }: HttpMeasured, add: Add): void {
  if (idle === null || idle.announced) return;
  // Over HTTP/2 none could be sent; without a GOAWAY a client does not know what became of its request all the same.
  if (idle.afterClose === null && look.protocol !== "HTTP/2") return;
  const said = look.hint?.timeoutMs ?? null;
  // Half the margin that a client shall keep: it keeps the rest itself.
  const neededMs = marginMs(idle.lowMs, look.rttMs ?? 0) / 2;
  if (said !== null && said <= idle.lowMs - neededMs) return;
  const fates = { reset: "is reset", lost: "is lost, without a word" } as const;
  const fate = idle.afterClose === null ? "fails" : fates[idle.afterClose];
  const why =
    said === null
      ? "it does not say so in a Keep-Alive header, so that no client can know"
      : "its Keep-Alive header says no less, so that a client that believes it is too late by the way of one packet";
  add(
    "race-window",
    `The server closes an idle connection after ${formatDuration(idle.lowMs)}; ${why}. A request that crosses the FIN ${fate}: a 502 behind a proxy, ECONNRESET in a client.`,
  );
}
