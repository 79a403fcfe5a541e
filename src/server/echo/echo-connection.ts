import type { Socket } from "node:net";
import { randomBytes } from "node:crypto";
import { baseFd } from "../../guard/inner-socket.js";
import { systemClock } from "../../kernel/clock.js";
import { libcProblem } from "../../kernel/libc.js";
import { readTcpInfo } from "../../kernel/tcp-info.js";
import { echoVersion, greetingLine, LineReader } from "../../heartbeat/echo/lines.js";
import { type Timer, timersOf } from "../../time/timers.js";

/** Silence after which a connection is closed that belongs to no measurement. */
const idleMs = 120_000;
/** So long a goodbye may take to be read. */
const leavingMs = 5_000;
/** One measurement's lanes at once, two directions together. */
const mostLanes = 256;
const mostMistakes = 10;

/** A lane belongs to a control connection, which may make it speak. */
type Role =
  | { readonly kind: "none" }
  | { readonly kind: "control"; readonly lanes: Set<EchoConnection> }
  | { readonly kind: "lane"; readonly control: EchoConnection };

/** One accepted connection: greets, and answers line by line. */
export class EchoConnection {
  readonly id = randomBytes(12).toString("hex");
  readonly #socket: Socket;
  readonly #all: ReadonlyMap<string, EchoConnection>;
  readonly #lines = new LineReader();
  #role: Role = { kind: "none" };
  #reset = false;
  #mistakes = 0;
  /** After the goodbye: the connection's last moments. */
  #leaving: Timer | null = null;

  /** @param all every connection by its id, this one's among them once the caller has put it there. */
  constructor(socket: Socket, all: ReadonlyMap<string, EchoConnection>) {
    this.#socket = socket;
    this.#all = all;
    socket.setNoDelay(true).setTimeout(idleMs);
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("timeout", () => this.bye("idle"));
    // Who asks and does not listen to the answers is not read from either.
    socket.on("drain", () => socket.resume());
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNRESET") this.#reset = true;
    });
    socket.on("close", () => this.#closed());
    const { remoteAddress = "::", remotePort = 0 } = socket;
    this.#say(
      greetingLine({
        version: echoVersion,
        id: this.id,
        address: remoteAddress.replace(/^::ffff:(?=[\d.]+$)/, ""),
        port: remotePort,
      }).trimEnd(),
    );
  }

  /** Says why, and closes in order: whoever hears no such word was cut off by somebody else. */
  bye(reason: string): void {
    if (this.#leaving !== null) return;
    this.#socket.end(`bye ${reason}\n`);
    // Not the socket's own timeout, which whoever goes on talking puts off for ever.
    this.#leaving = timersOf(systemClock).timer(() => this.#socket.destroy());
    this.#leaving.set(leavingMs);
  }

  destroy(): void {
    this.#socket.resetAndDestroy();
  }

  #read(chunk: Buffer): void {
    const whole = this.#lines.push(chunk, (line) => {
      if (!this.#socket.writableEnded) this.#obey(line);
    });
    if (!whole && !this.#socket.writableEnded) this.bye("line too long");
  }

  #obey(line: string): void {
    const [verb = "", argument = ""] = line.split(" ");
    switch (verb) {
      case "ping":
        this.#say(line.replace("ping", "pong"));
        return;
      case "segments":
        this.#say(`segments ${this.#segmentsIn() ?? "unknown"}`);
        return;
      case "control":
        this.#becomeControl();
        return;
      case "lane":
        this.#becomeLane(argument);
        return;
      case "speak":
      case "look":
      case "drop":
        this.#command(verb, argument);
        return;
      default:
        this.#mistake("no such word");
    }
  }

  #becomeControl(): void {
    if (this.#role.kind !== "none") return this.#mistake("too late");
    this.#role = { kind: "control", lanes: new Set() };
    // Its client may say nothing for hours. Should it vanish, its lanes shall not stay.
    this.#socket.setTimeout(0).setKeepAlive(true, 10_000);
    this.#say("ok");
  }

  #becomeLane(id: string): void {
    const control = this.#all.get(id);
    if (this.#role.kind !== "none" || control === undefined || control.#role.kind !== "control")
      return this.#mistake("no such control");
    if (control.#role.lanes.size >= mostLanes) return this.bye("too many lanes");
    control.#role.lanes.add(this);
    this.#role = { kind: "lane", control };
    // Nothing but the control connection ends its silence.
    this.#socket.setTimeout(0);
    this.#say("ok");
  }

  #command(verb: "speak" | "look" | "drop", id: string): void {
    if (this.#role.kind !== "control") return this.#mistake("only a control connection may");
    const lane = [...this.#role.lanes].find((one) => one.id === id);
    if (lane === undefined) return this.#say(`unknown ${id}`);
    if (verb === "speak") {
      lane.#say("spoken");
      this.#say(`spoke ${id}`);
    } else if (verb === "look") this.#say(`${lane.#reset ? "reset" : "open"} ${id}`);
    else {
      this.#role.lanes.delete(lane);
      lane.destroy();
      this.#say(`dropped ${id}`);
    }
  }

  /** What the kernel has received on this connection, probes included; null where that cannot be read. */
  #segmentsIn(): number | null {
    const fd = baseFd(this.#socket);
    return fd < 0 || libcProblem() !== null ? null : readTcpInfo(fd).segmentsIn;
  }

  #mistake(problem: string): void {
    if (++this.#mistakes >= mostMistakes) this.bye("too many mistakes");
    else this.#say(`? ${problem}`);
  }

  #say(line: string): void {
    if (this.#socket.writable && !this.#socket.write(`${line}\n`)) this.#socket.pause();
  }

  #closed(): void {
    this.#leaving?.close();
    if (this.#role.kind === "control") for (const lane of this.#role.lanes) lane.destroy();
    // One that was reset is kept for the question what became of it.
    if (this.#role.kind === "lane" && !this.#reset && this.#role.control.#role.kind === "control")
      this.#role.control.#role.lanes.delete(this);
  }
}
