/** What is kept of a session, so that another process can go on with it. */
export interface KeptSession {
  /** Under what it is kept: on a server, the session's id as hex. */
  readonly id: string;
  /** On a client: the session's id and token, as `named` gave them. Empty on a server, and before the first hello. */
  readonly name: Uint8Array;
  /** The sequence of the last message taken. */
  readonly received: number;
  /** The sequence of the last message that the peer has taken. */
  readonly acknowledged: number;
  /** What it has not, oldest first. */
  readonly queue: readonly Uint8Array[];
}

/** Where one session's doings are written as they happen. Each call returns when it is written. */
export interface SessionJournal {
  /** The session is another from now on: what waits is numbered anew, and nothing has been received in it. */
  named(name: Uint8Array): void;
  /** A message was given, to be sent. */
  pushed(payload: Uint8Array): void;
  /** One that was never sent was dropped; those behind it move up. */
  dropped(sequence: number): void;
  acknowledged(sequence: number): void;
  received(sequence: number): void;
  /** The session is over: nothing of it is kept. */
  ended(): void;
}

/** Where sessions survive the end of a process. `SessionFile` is one; another may write where the application keeps its own. */
export interface SessionStore {
  /** What is kept from before; asked once, first. */
  load(): { readonly secret: Uint8Array | null; readonly sessions: readonly KeptSession[] };
  /** A server's secret, with which it makes tokens. */
  keepSecret(secret: Uint8Array): void;
  /** Begins a session, or goes on with one that was loaded. */
  journal(id: string): SessionJournal;
  close(): void;
}
