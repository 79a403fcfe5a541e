import { randomBytes } from "node:crypto";
import type { RemoteInfo, Socket as DatagramSocket } from "node:dgram";
import {
  connectionKey,
  isAuthentic,
  messageIn,
  readEnvelope,
  sealDatagram,
} from "../heartbeat/protocol/datagram.js";
import { encode } from "../heartbeat/protocol/encode.js";
import { type ByeReason, type Hello, limits, type Message } from "../heartbeat/protocol/message.js";
import { DatagramWire } from "../heartbeat/session/datagram-wire.js";
import type { WireListener } from "../heartbeat/session/wire.js";
import type { Agenda, Due } from "./agenda.js";
import type { ServerSettings } from "./options.js";
import type { HostedSession } from "./session.js";

type Remote = { address: string; port: number };

/** What the door needs of its server. */
export interface DoorHost {
  readonly agenda: Agenda;
  readonly settings: ServerSettings;
  problemOf(hello: Hello): [ByeReason, string] | null;
  refused(remote: Remote, problem: string): void;
  /** The id of the session that a hello is for, new or known, and our hello to it. */
  hello(hello: Hello, key: Uint8Array): { id: string; answer: Hello };
  /** The client has shown that it is here now. @returns its session, or why it cannot be. */
  arrived(id: string, wire: DatagramWire, hello: Hello, remote: Remote): HostedSession | [ByeReason, string];
}

/** A client over datagrams, known by its key. */
interface Client {
  readonly wire: DatagramWire;
  session: HostedSession | null;
  remote: Remote;
  /** Still to be shown to be here now: its hello may be a recorded one. */
  pending: { readonly hello: Hello; readonly drawn: string } | null;
}

const noKey = new Uint8Array();
/** Keys under which one session may come back at a time: each datagram of a stranger is held against all of them. */
const mostExpected = 8;

/** Datagrams of clients come in here, and go to their sessions; those of strangers go nowhere. */
export class DatagramDoor implements Due {
  place = -1;
  readonly #host: DoorHost;
  #socket: DatagramSocket | null = null;
  #configured: Uint8Array | null = null;
  /**
   * By the session's id: the client that is connected so, and those that may come so. Several, because all but one may be answers to
   * hellos that somebody has recorded and sends again.
   */
  readonly #clients = new Map<string, Client>();
  readonly #expected = new Map<string, readonly Client[]>();
  /** Answers to hellos that have not been followed yet, by what the client has drawn. */
  readonly #answers = new Map<
    string,
    { readonly answer: Buffer; readonly id: string; readonly untilMs: number }
  >();

  constructor(host: DoorHost) {
    this.#host = host;
    host.agenda.enter(this);
  }

  open(socket: DatagramSocket, configured: Uint8Array | null): void {
    this.#socket = socket;
    this.#configured = configured;
    socket.on("message", (datagram, remote) => this.#take(datagram, remote));
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    this.#socket = null;
    // Goodbyes are given to the socket in this turn, and sent by the next.
    if (socket !== null)
      await new Promise<void>((resolve) => setImmediate(() => socket.close(() => resolve())));
  }

  /** A new key for a session that is greeted over a stream; none where no datagrams are taken. */
  keyFor(session: HostedSession): Uint8Array {
    if (this.#socket === null) return noKey;
    const key = randomBytes(limits.key);
    this.#expect(session.id, this.#client(session.id, session, key, null, { address: "", port: 0 }));
    return key;
  }

  forget(session: HostedSession): void {
    this.#clients.delete(session.id);
    this.#expected.delete(session.id);
  }

  /** Hellos that nothing followed are forgotten. */
  due(nowMs: number): void {
    for (const [drawn, { id, untilMs }] of this.#answers) {
      if (untilMs > nowMs) {
        this.#host.agenda.set(this, untilMs);
        return;
      }
      this.#answers.delete(drawn);
      const left = (this.#expected.get(id) ?? []).filter(({ pending }) => pending?.drawn !== drawn);
      if (left.length === 0) this.#expected.delete(id);
      else this.#expected.set(id, left);
    }
  }

  #take(datagram: Buffer, info: RemoteInfo): void {
    const envelope = readEnvelope(datagram);
    if (envelope === null || envelope.direction !== "from-client") return;
    const remote = { address: info.address, port: info.port };
    const id = envelope.id.toString("hex");
    const client = this.#clients.get(id);
    if (client?.wire.receive(datagram, () => this.#moved(client, remote)) === true) return;
    const expected = this.#expected.get(id);
    if (expected !== undefined)
      expected.some((one) => one.wire.receive(datagram, () => this.#arrived(id, one, remote)));
    else if (this.#configured !== null && client === undefined)
      this.#greet(datagram, id, envelope.sequence, remote);
  }

  #moved(client: Client, remote: Remote): void {
    if (client.remote.address === remote.address && client.remote.port === remote.port) return;
    client.remote = remote;
    client.session?.active?.movedTo(remote);
  }

  /** The first datagram under a new key. */
  #arrived(id: string, client: Client, remote: Remote): void {
    const before = this.#clients.get(id);
    client.remote = remote;
    this.#expected.delete(id);
    this.#clients.set(id, client);
    before?.wire.end();
    const { pending } = client;
    client.pending = null;
    if (pending === null) {
      client.session?.awake().move(client.wire, remote);
      return;
    }
    this.#answers.delete(pending.drawn);
    const arrived = this.#host.arrived(id, client.wire, pending.hello, remote);
    if (!Array.isArray(arrived)) {
      client.session = arrived;
      return;
    }
    client.wire.send({ type: "bye", reason: arrived[0], text: arrived[1] });
    client.wire.end();
    this.#clients.delete(id);
  }

  /** A hello under the configured key. */
  #greet(datagram: Buffer, drawn: string, sequence: number, remote: Remote): void {
    const configured = this.#configured as Uint8Array;
    if (!isAuthentic(configured, datagram)) return;
    // The client asks again, for our answer was lost or slow.
    const answered = this.#answers.get(drawn);
    if (answered !== undefined) {
      this.#send(answered.answer, remote);
      return;
    }
    const hello = helloIn(datagram);
    if (hello === null) return;
    const id = Buffer.from(drawn, "hex");
    const say = (message: Message): Buffer =>
      sealDatagram(configured, { direction: "from-server", id, sequence }, encode(message));
    const problem = this.#host.problemOf(hello);
    if (problem !== null) {
      this.#host.refused(remote, problem[1]);
      this.#send(say({ type: "bye", reason: problem[0], text: problem[1] }), remote);
      return;
    }
    if (this.#answers.size >= this.#host.settings.maxGreetings) return;
    const nonce = randomBytes(limits.key);
    const { id: sessionId, answer } = this.#host.hello(hello, nonce);
    const key = connectionKey(configured, { client: id, server: nonce });
    this.#expect(sessionId, this.#client(sessionId, null, key, { hello, drawn }, remote));
    const bytes = say(answer);
    const untilMs = this.#host.agenda.nowMs + this.#host.settings.handshakeMs;
    this.#answers.set(drawn, { answer: bytes, id: sessionId, untilMs });
    if (this.#answers.size === 1) this.#host.agenda.set(this, untilMs);
    this.#send(bytes, remote);
  }

  /** A stream's hello makes its key the only one of its kind; those over datagrams stand side by side. */
  #expect(id: string, client: Client): void {
    const others = (this.#expected.get(id) ?? []).filter(
      ({ pending }) => pending !== null || client.pending !== null,
    );
    this.#expected.set(id, [...others, client].slice(-mostExpected));
  }

  #client(
    id: string,
    session: HostedSession | null,
    key: Uint8Array,
    pending: Client["pending"],
    remote: Remote,
  ): Client {
    // The session is there by the time that a message is handed on.
    const listener: WireListener = {
      onMessage: (message) => client.session?.active?.onMessage(message),
      onRead: () => client.session?.active?.onRead(),
      onDrain: () => client.session?.active?.onDrain(),
      onProtocolError: (problem) => client.session?.active?.onProtocolError(problem),
    };
    const client: Client = {
      session,
      remote,
      pending,
      wire: new DatagramWire({
        key,
        id: Buffer.from(id, "hex"),
        direction: "from-server",
        transmit: (bytes) => this.#send(bytes, client.remote),
        listener,
      }),
    };
    return client;
  }

  #send(bytes: Buffer, { address, port }: Remote): void {
    // A datagram that cannot be sent is one that got lost.
    this.#socket?.send(bytes, port, address, () => {});
  }
}

function helloIn(datagram: Buffer): Hello | null {
  try {
    const message = messageIn(datagram);
    return message?.type === "hello" ? message : null;
  } catch {
    return null;
  }
}
