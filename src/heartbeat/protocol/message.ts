/** The version that this code speaks. Another one is answered with `bye`, reason `version`. */
export const protocolVersion = 1;

/** The longest time that 32 bits of milliseconds can say: 49 days. */
export const longestMs = 2 ** 32 - 1;

/** What one side may hold up the other with: lengths are checked before anything is kept. */
export const limits = {
  /** Application data in a beat or an answer. */
  beatPayload: 65_536,
  /** Application data in one `data` message, unless a side says less in its hello. */
  dataPayload: 1_048_576,
  sessionId: 16,
  token: 64,
  key: 32,
  byeText: 255,
} as const;

/** The first message of each side, and of each connection. */
export interface Hello {
  readonly type: "hello";
  readonly version: number;
  /** It sends something at least this often; 0: it promises nothing, but answers when it is asked. */
  readonly sendEveryMs: number;
  /** It gives the other side up after hearing nothing for this long, or later, if the other side's interval asks for it. */
  readonly deadlineMs: number;
  /** The longest `data` payload that it takes. */
  readonly maxPayload: number;
  /** Client: the session to resume. Server: the session that this is now. null: none yet, or no sessions here. */
  readonly session: Uint8Array | null;
  /** What proves that a session is one's own: given by the server with the session, shown by the client to resume it. */
  readonly token: Uint8Array;
  /** The number of the last `data` that it has taken in this session; 0: none. What follows is to be sent again. */
  readonly received: number;
  /**
   * Server, over a stream: the key for the same session's datagrams; over datagrams: what their key is derived from. Empty: no
   * datagrams here.
   */
  readonly key: Uint8Array;
}

/** A sign of life that asks for one. */
export interface Beat {
  readonly type: "beat";
  /** Counts up by one, and around after 2^32 - 1; the answer repeats it. */
  readonly number: number;
  /** How often its sender sends something from now on, as in the hello; the other side's deadline follows. */
  readonly sendEveryMs: number;
  /** As in the hello: all up to here has been taken. */
  readonly received: number;
  readonly payload: Uint8Array;
}

/** The answer to a beat. */
export interface Answer extends Omit<Beat, "type"> {
  readonly type: "answer";
}

/** A message of the application's. */
export interface Data {
  readonly type: "data";
  /** Counts up by one from 1, in each direction of a session. */
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** All `data` up to here has been taken. */
export interface Acknowledgement {
  readonly type: "acknowledgement";
  readonly received: number;
}

/** The last message of a side. */
export interface Bye {
  readonly type: "bye";
  readonly reason: ByeReason;
  /** In words, for people. */
  readonly text: string;
}

export type Message = Hello | Beat | Answer | Data | Acknowledgement | Bye;

/** Why a side says goodbye, by the number on the wire. */
export const byeReasons = [
  "done",
  "shutdown",
  "too-many-beats",
  "protocol-error",
  "no-agreement",
  "unknown-session",
  "evicted",
  "version",
  "given-up",
  "replaced",
] as const;

export type ByeReason = (typeof byeReasons)[number];

/** The numbers of the messages on the wire. */
export const messageTypes = {
  hello: 1,
  beat: 2,
  answer: 3,
  data: 4,
  acknowledgement: 5,
  bye: 6,
} as const satisfies Record<Message["type"], number>;
