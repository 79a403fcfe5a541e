import type { HeartbeatAdapter } from "../adapter.js";

/** What is used of a WebSocket as browsers have it (WHATWG): Node's own, undici's, or one of `ws`. */
export interface MessageSocket {
  readonly readyState: number;
  send(data: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { readonly wasClean: boolean }) => void): void;
  removeEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  removeEventListener(type: "close", listener: (event: { readonly wasClean: boolean }) => void): void;
}

/** A beat is the text "deadpeer beat 7 25000", with how often its sender will be heard; behind it, in base64, what it carries. */
const beatWords = /^deadpeer beat (\d{1,10}) (\d{1,10})(?: ([\w+/=]{1,87384}))?$/;
/** Its answer is "deadpeer answer 7". */
const answerWords = /^deadpeer answer (\d{1,10})(?: ([\w+/=]{1,87384}))?$/;

/** Application code 4000 (RFC 6455, section 7.4.2): whoever still gets it can tell it from a close of the application's. */
const heartbeatCode = 4_000;

/** RFC 6455 and WHATWG: OPEN. */
const open = 1;

/**
 * Whether a message belongs to the heartbeat, and not to the application.
 *
 * @example ws.addEventListener("message", ({ data }) => { if (!isHeartbeatMessage(data)) take(data); });
 */
export function isHeartbeatMessage(data: unknown): boolean {
  return typeof data === "string" && (beatWords.test(data) || answerWords.test(data));
}

/**
 * Heartbeats by messages, for WebSockets that have no `ping()`: those of browsers, and Node's own. The other side runs the same,
 * or answers by the line in docs/adapters.md. They carry data of the application's both ways.
 *
 * @example heartbeat(overMessages(new WebSocket("wss://api.example")), "normal");
 */
export function overMessages(ws: MessageSocket): HeartbeatAdapter {
  const send = (text: string): void => {
    // While it connects, send() throws; while it closes, what is sent goes nowhere.
    if (ws.readyState === open) ws.send(text);
  };
  return {
    beat: ({ number, sendEveryMs, payload }) =>
      send(`deadpeer beat ${number} ${Math.round(sendEveryMs)}${inBase64(payload)}`),
    // There is no way to let go at once: the close is announced, and comes true when the peer or the browser's patience ends.
    close: () => ws.close(heartbeatCode, "no answer to heartbeats"),
    listen(peer) {
      const onMessage = ({ data }: { readonly data: unknown }): void => {
        const text = typeof data === "string" ? data : "";
        const beat = beatWords.exec(text);
        const answer = answerWords.exec(text);
        if (beat !== null)
          send(
            `deadpeer answer ${beat[1]}${inBase64(peer.beaten(outOfBase64(beat[3]), Number(beat[2]) || undefined))}`,
          );
        else if (answer !== null) peer.answered(Number(answer[1]), outOfBase64(answer[2]));
        else peer.heard();
      };
      const onClose = ({ wasClean }: { readonly wasClean: boolean }): void => peer.ended(!wasClean);
      ws.addEventListener("message", onMessage);
      ws.addEventListener("close", onClose);
      return () => {
        ws.removeEventListener("message", onMessage);
        ws.removeEventListener("close", onClose);
      };
    },
  };
}

/** With a space before it; nothing for nothing. */
function inBase64(payload: Uint8Array): string {
  return payload.length === 0 ? "" : ` ${Buffer.from(payload).toString("base64")}`;
}

function outOfBase64(text: string | undefined): Uint8Array | undefined {
  return text === undefined ? undefined : Buffer.from(text, "base64");
}
