import { once } from "node:events";
import type { Writable } from "node:stream";
import {
  type CaptureVerdict,
  eventKinds,
  type Explanation,
  explainCapture,
  type FlowEndpoint,
  type FlowEvents,
  type FlowSummary,
  type Inferred,
  type InferredKeepalive,
  type Seen,
} from "../../capture/index.js";
import { AsciiWriter, asciiBytes, Pieces } from "../ascii-writer.js";
import type { Source } from "./source.js";
import { isWished, type Wish } from "./wish.js";

/** Bytes are handed on in pieces of about this size. */
const chunkBytes = 1 << 16;

/** Reads a capture and writes what it says as JSON. */
export async function writeJson(
  source: Pick<Source, "chunks">,
  wish: Wish,
  out: Writable,
): Promise<Explanation> {
  const report = new JsonReport(out);
  const explanation = await explainCapture(source.chunks, {
    onSummary: (flow, events) => {
      if (isWished(wish, flow)) report.add(flow, events);
    },
    pace: () => report.drained(),
  });
  report.end(explanation);
  return explanation;
}

/**
 * Writes an explanation as JSON while the capture is still being read: a flow is forgotten once it is written. The flows come
 * first, since the counts are known last. Field by field, since a capture of short connections is mostly this: JSON.stringify and the
 * objects that it wants would take longer than the packets.
 */
class JsonReport {
  readonly #out: Writable;
  readonly #json = new AsciiWriter(chunkBytes);
  #flows = 0;
  #events = 0;

  constructor(out: Writable) {
    this.#out = out;
    this.#json.text('{"flows":[');
  }

  add(flow: FlowSummary, events: FlowEvents): void {
    const json = this.#json;
    json.text(this.#flows++ === 0 ? '\n{"a":' : ',\n{"a":');
    this.#endpoint(flow.a);
    json.text(',"b":');
    this.#endpoint(flow.b);
    json.piece(openers.of(flow.opener)).number(flow.firstFrame);
    json.text(',"startedMs":').decimal(flow.startedMs);
    json.text(',"frames":').number(flow.frames);
    json.text(',"events":[');
    this.#events = 0;
    events.tell(this.#event);
    json.text("]");
    this.#inferred(flow.inferred);
    json.text(',"verdict":');
    if (flow.verdict === null) json.text("null}");
    else this.#verdict(flow.verdict);
    if (json.length >= chunkBytes) this.#hand();
  }

  end({ packets, skipped, skippedFor, startedAt, durationMs, problems }: Explanation): void {
    const rest = JSON.stringify({ packets, skipped, skippedFor, startedAt, durationMs, problems });
    this.#json.text(`\n],${rest.slice(1)}\n`);
    this.#hand();
  }

  /** What to wait for where the reader does not keep up. */
  drained(): Promise<unknown> | null {
    return this.#out.writableNeedDrain ? once(this.#out, "drain") : null;
  }

  #hand(): void {
    this.#out.write(this.#json.written);
    // Files and pipes take it at once; what is still waiting must stay as it is.
    if (this.#out.writableLength === 0) this.#json.clear();
    else this.#json.renew();
  }

  #endpoint({ address, port }: FlowEndpoint): void {
    this.#json.text('{"address":"').text(address).text('","port":').number(port).text("}");
  }

  readonly #event = (frame: number, timeMs: number, kind: number, fromB: boolean): void => {
    this.#json.piece(this.#events++ === 0 ? firstEvent : nextEvent).number(frame);
    this.#json.piece(eventTime).decimal(timeMs);
    this.#json.piece((fromB ? kindsFromB : kindsFromA)[kind] as Uint8Array);
  };

  #inferred({ keepalive, keepaliveTraffic, lastHeardMs, established, roundTripMs }: Inferred): void {
    const json = this.#json;
    json.text(',"inferred":{"keepalive":[');
    keepalive.forEach((one, index) => this.#keepalive(one, index > 0));
    json.text('],"keepaliveTraffic":{"packets":').number(keepaliveTraffic.packets);
    json.text(',"bytes":').number(keepaliveTraffic.bytes);
    json.text('},"lastHeardMs":{"a":').decimal(lastHeardMs.a);
    json.text(',"b":').decimal(lastHeardMs.b);
    json.text('},"established":').text(established ? "true" : "false");
    json.text(',"roundTripMs":').decimal(roundTripMs).text("}");
  }

  #keepalive(
    { from, idleMs, intervalMs, count, idleSeen, intervalSeen }: InferredKeepalive,
    follows: boolean,
  ): void {
    const json = this.#json;
    json
      .text(follows ? ',{"from":"' : '{"from":"')
      .text(from)
      .text('","idleMs":')
      .decimal(idleMs);
    json.text(',"intervalMs":').decimal(intervalMs).text(',"count":').number(count);
    json.text(',"idleSeen":');
    this.#seen(idleSeen);
    json.text(',"intervalSeen":');
    this.#seen(intervalSeen);
    json.text("}");
  }

  #seen(seen: Seen | null): void {
    if (seen === null) this.#json.text("null");
    else
      this.#json.text('{"leastMs":').decimal(seen.leastMs).text(',"mostMs":').decimal(seen.mostMs).text("}");
  }

  #verdict(verdict: CaptureVerdict): void {
    const json = this.#json;
    json.text('{"state":').piece(values.of(verdict.state));
    json.text(',"at":').decimal(verdict.at);
    json.text(',"lastHeardMs":').decimal(verdict.lastHeardMs);
    json.text(',"detectedAfterMs":').decimal(verdict.detectedAfterMs);
    json.text(',"regime":').piece(values.of(verdict.regime));
    json.text(',"timer":').piece(values.of(verdict.timer));
    json.text(',"errno":').piece(values.of(verdict.errno));
    json.text(',"figures":').text(JSON.stringify(verdict.figures));
    json.text(',"certainty":').piece(values.of(verdict.certainty));
    json.text(',"couldAlsoBe":').text(JSON.stringify(verdict.couldAlsoBe));
    json.text(',"selfPausedMs":').decimal(verdict.selfPausedMs);
    json.text(',"sentence":').piece(values.of(verdict.sentence));
    json.text(',"by":').piece(values.of(verdict.by));
    json.text(',"givenUp":').text(verdict.givenUp ? "true" : "false");
    json.text(',"proof":{"frames":[').text(verdict.proof.frames.join(","));
    json.text(']},"better":').text(JSON.stringify(verdict.better)).text("}}");
  }
}

const firstEvent = asciiBytes('{"frame":');
const nextEvent = asciiBytes(',{"frame":');
const eventTime = asciiBytes(',"timeMs":');
const kindsFrom = (side: string): Uint8Array[] =>
  eventKinds.map((kind) => asciiBytes(`,"kind":"${kind}","from":"${side}"}`));
const kindsFromA = kindsFrom("a");
const kindsFromB = kindsFrom("b");
const openers = new Pieces(
  (side: FlowSummary["opener"]) => `,"opener":${JSON.stringify(side)},"firstFrame":`,
);
/** Words and sentences that come again and again. */
const values = new Pieces((value: string | null) => JSON.stringify(value));
