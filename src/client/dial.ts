import { randomBytes } from "node:crypto";
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { lookup } from "node:dns";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Guard, guard } from "../guard/guard.js";
import {
  connectionKey,
  isAuthentic,
  messageIn,
  readEnvelope,
  sealDatagram,
} from "../heartbeat/protocol/datagram.js";
import { encode } from "../heartbeat/protocol/encode.js";
import type { Bye, Hello, Message } from "../heartbeat/protocol/message.js";
import { DatagramWire } from "../heartbeat/session/datagram-wire.js";
import { endInTime } from "../heartbeat/session/end-in-time.js";
import { StreamWire } from "../heartbeat/session/stream-wire.js";
import type { Wire, WireListener } from "../heartbeat/session/wire.js";
import { type Timer, timersOf } from "../time/timers.js";
import type { Verdict } from "../verdict/verdict.js";
import type { ClientSettings, LongConnectionOptions } from "./options.js";
import { type Target, targetText } from "./target.js";

/** The server has answered our hello. */
export interface Met {
  readonly wire: Wire;
  readonly hello: Hello;
  /** Of streams: tells what becomes of it. */
  readonly guard: Guard | null;
  /** This host's address and the server's. */
  readonly network: string;
}

/** Why an attempt came to nothing. */
export interface Failure {
  readonly problem: string;
  readonly bye: Bye | null;
  readonly verdict: Verdict | null;
}

export interface DialHost {
  readonly options: LongConnectionOptions;
  readonly settings: ClientSettings;
  /** Listens once the server is met. */
  readonly listener: WireListener;
  hello(network: string): Hello;
  /** Called within the server's hello; what follows it goes to the listener. */
  met(met: Met): void;
  failed(failure: Failure): void;
}

/** One attempt to meet a server, which ends with `met` or `failed`, or is given up. */
export interface Attempt {
  giveUp(): void;
}

/** Before a datagram that nothing answered is sent again; then twice as long. */
const againMs = 400;

/**
 * Where the interval is learned, TCP sends no probes of its own: a path that sees them forgets nothing, and nothing is learned. The
 * heartbeat notices a dead peer by itself.
 */
const silentTcp = { keepalive: null, userTimeoutMs: 60_000 };

export function dial(target: Target, host: DialHost): Attempt {
  return target.transport === "udp" ? new DatagramAttempt(target, host) : new StreamAttempt(target, host);
}

/** What all attempts have in common: one outcome, in time. */
abstract class Trial implements Attempt {
  protected readonly host: DialHost;
  protected readonly target: Target;
  readonly #timer: Timer;
  #over = false;

  constructor(target: Target, host: DialHost) {
    this.target = target;
    this.host = host;
    this.#timer = timersOf(host.settings.clock).timer(() => this.fail("no answer in time"));
    this.#timer.set(host.settings.connectMs);
  }

  giveUp(): void {
    if (this.finish()) this.letGo();
  }

  protected get over(): boolean {
    return this.#over;
  }

  protected fail(problem: string, { bye = null, verdict = null }: Partial<Failure> = {}): void {
    if (!this.finish()) return;
    this.letGo();
    this.host.failed({ problem: `${targetText(this.target)}: ${problem}`, bye, verdict });
  }

  /** @returns false: it was over already. */
  protected finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#timer.close();
    return true;
  }

  protected abstract letGo(): void;
}

/** Over TCP or TLS. The names' addresses are tried as Node does it, both families side by side (RFC 8305). */
class StreamAttempt extends Trial {
  readonly #socket: Socket;
  readonly #guard: Guard;
  #wire: StreamWire | null = null;

  constructor(target: Target, host: DialHost) {
    super(target, host);
    const { host: name, port, transport } = target;
    const where = { host: name, port, noDelay: true };
    const {
      tls = {},
      adaptive,
      tcp = adaptive === undefined ? { detectWithin: "1m" } : silentTcp,
    } = host.options;
    const named = isIP(name) === 0 ? { servername: name } : {};
    this.#socket = transport === "tls" ? connectTls({ ...named, ...where, ...tls }) : connectTcp(where);
    const socket = this.#socket;
    this.#guard = guard(socket, tcp, { clock: host.settings.clock });
    let error: Error | null = null;
    socket.on("error", (problem) => (error = problem));
    this.#guard.on("error", (problem) => this.fail(problem.message));
    this.#guard.on("verdict", (verdict) => {
      // TLS refuses for reasons of its own, which the verdict on the connection does not name.
      const own = error !== null && verdict.errno === null ? error.message : verdict.sentence;
      process.nextTick(() => this.fail(own, { verdict }));
    });
    socket.once(transport === "tls" ? "secureConnect" : "connect", () => this.#connected());
  }

  #connected(): void {
    if (this.over) return;
    const { localAddress = "", remoteAddress = "" } = this.#socket;
    const network = `${localAddress} ${remoteAddress}`;
    const wire = new StreamWire(
      this.#socket,
      {
        onMessage: (message) => this.#heard(wire, message, network),
        onRead: () => {},
        onDrain: () => {},
        onProtocolError: (problem) => this.fail(problem.message),
      },
      { mayRefuse: true },
    );
    this.#wire = wire;
    wire.send(this.host.hello(network));
  }

  #heard(wire: StreamWire, message: Message, network: string): void {
    if (message.type === "bye") this.fail(`${message.reason}: ${message.text}`, { bye: message });
    if (message.type !== "hello" || !this.finish()) return;
    wire.handTo(this.host.listener);
    this.host.met({ wire, hello: message, guard: this.#guard, network });
  }

  protected letGo(): void {
    this.#wire?.destroy();
    this.#socket.destroy();
  }
}

/** Over UDP, with a configured key, or one that comes over a stream. */
class DatagramAttempt extends Trial {
  #socket: DatagramSocket | null = null;
  #greeting: Attempt | null = null;
  #greeted: Met | null = null;
  #again: Timer | null = null;
  #againMs = againMs;
  #wire: DatagramWire | null = null;

  constructor(target: Target, host: DialHost) {
    super(target, host);
    const { greetAt } = host.settings;
    if (greetAt === null) this.#open((socket) => this.#greet(socket));
    else this.#greetAt(greetAt);
  }

  /** The stream gives session and key; then datagrams take over. */
  #greetAt(target: Target): void {
    this.#greeting = dial(target, {
      ...this.host,
      // What comes over the stream meanwhile comes again over datagrams.
      listener: { onMessage() {}, onRead() {}, onDrain() {}, onProtocolError() {} },
      met: (met) => {
        this.#greeting = null;
        this.#greeted = met;
        if (met.hello.key.length === 0 || met.hello.session === null)
          this.fail("the server takes no datagrams");
        else this.#open((socket) => this.#move(socket, met));
      },
      failed: (failure) => this.fail(failure.problem, failure),
    });
  }

  #open(ready: (socket: DatagramSocket) => void): void {
    const { host, port } = this.target;
    lookup(host, (error, address, family) => {
      if (this.over) return;
      if (error !== null) {
        this.fail(`${host} has no address: ${error.message}`);
        return;
      }
      const socket = createSocket(family === 6 ? "udp6" : "udp4");
      this.#socket = socket;
      // An ICMP error ends an attempt, for there is nothing to lose; a session only dies of silence, for ICMP can be forged.
      socket.on("error", (problem) => this.fail(problem.message));
      // No route, for instance: it is told here, and not by "error".
      socket.connect(port, address, (problem?: Error) => {
        if (problem != null) this.fail(problem.message);
        else if (!this.over) ready(socket);
      });
    });
  }

  #greet(socket: DatagramSocket): void {
    const key = this.host.options.key as Uint8Array;
    const drawn = randomBytes(16);
    const network = `${socket.address().address} ${socket.remoteAddress().address}`;
    const said = this.host.hello(network);
    const hello = encode(said);
    let sequence = 0;
    this.#repeat(() =>
      transmit(
        socket,
        sealDatagram(key, { direction: "from-client", id: drawn, sequence: ++sequence }, hello),
      ),
    );
    socket.on("message", (datagram) => {
      if (this.#wire !== null) {
        this.#wire.receive(datagram);
        return;
      }
      const envelope = readEnvelope(datagram);
      if (envelope === null || envelope.direction !== "from-server" || !envelope.id.equals(drawn)) return;
      if (!isAuthentic(key, datagram)) return;
      const message = parsed(datagram);
      if (message?.type === "bye") this.fail(`${message.reason}: ${message.text}`, { bye: message });
      if (message?.type !== "hello" || message.session === null || !this.finish()) return;
      const own = connectionKey(key, { client: drawn, server: message.key });
      this.#again?.close();
      const wire = this.#newWire(socket, own, message.session, this.host.listener);
      this.#beat(wire, said);
      this.host.met({ wire, hello: copied(message), guard: null, network });
    });
  }

  /** Beats until the server answers by datagram; then the stream is not needed any more. */
  #move(socket: DatagramSocket, met: Met): void {
    const { hello } = met;
    const { listener } = this.host;
    const wire = this.#newWire(socket, hello.key, hello.session as Uint8Array, {
      onMessage: (message) => {
        if (!this.over) this.#moved(wire, met);
        listener.onMessage(message);
      },
      onRead: () => listener.onRead(),
      onDrain: () => {},
      onProtocolError: (problem) => listener.onProtocolError(problem),
    });
    socket.on("message", (datagram) => wire.receive(datagram));
    const said = this.host.hello(met.network);
    this.#repeat(() => this.#beat(wire, said));
  }

  #moved(wire: DatagramWire, met: Met): void {
    if (!this.finish()) return;
    this.#again?.close();
    met.guard?.close();
    endInTime(met.wire, this.host.settings.clock);
    this.host.met({ ...met, wire, guard: null });
  }

  #newWire(socket: DatagramSocket, key: Uint8Array, id: Uint8Array, listener: WireListener): DatagramWire {
    // From here on errors say nothing: only the server's silence does.
    this.#wire = new ClientDatagramWire(socket, { key, id, listener });
    return this.#wire;
  }

  #beat(wire: DatagramWire, { sendEveryMs }: Hello): void {
    // With a number that no heartbeat gives: its answer is proof of life, and no more.
    wire.send({ type: "beat", number: 0, sendEveryMs, received: 0, payload: new Uint8Array() });
  }

  #repeat(send: () => void): void {
    this.#again ??= timersOf(this.host.settings.clock).timer(() => this.#repeat(send));
    send();
    this.#again.set(this.#againMs);
    this.#againMs *= 2;
  }

  protected letGo(): void {
    this.#again?.close();
    this.#greeting?.giveUp();
    this.#greeted?.guard?.close();
    this.#greeted?.wire.destroy();
    this.#socket?.close();
    this.#socket = null;
  }
}

/** A wire that owns its socket. */
class ClientDatagramWire extends DatagramWire {
  readonly #socket: DatagramSocket;
  #open = true;

  constructor(
    socket: DatagramSocket,
    { key, id, listener }: { key: Uint8Array; id: Uint8Array; listener: WireListener },
  ) {
    super({ key, id, listener, direction: "from-client", transmit: (bytes) => transmit(socket, bytes) });
    this.#socket = socket;
  }

  override end(): void {
    super.end();
    this.#close();
  }

  override destroy(): void {
    super.destroy();
    this.#close();
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    // What was given to the socket in this turn is sent by the next.
    setImmediate(() => this.#socket.close());
  }
}

function transmit(socket: DatagramSocket, datagram: Buffer): void {
  try {
    socket.send(datagram, () => {});
  } catch {
    // It is closed already: a datagram that got lost.
  }
}

function parsed(datagram: Buffer): Message | null {
  try {
    return messageIn(datagram);
  } catch {
    return null;
  }
}

/** Its parts are parts of what was read. */
function copied(hello: Hello): Hello {
  return {
    ...hello,
    session: hello.session === null ? null : Buffer.from(hello.session),
    token: Buffer.from(hello.token),
    key: Buffer.from(hello.key),
  };
}
