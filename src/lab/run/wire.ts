import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { type Explanation, explainCapture } from "../../capture/index.js";
import { DeadpeerError } from "../../errors.js";
import type { Host } from "../host.js";

/** All of TCP, and of ICMP the errors (ICMPv6 types below 128, RFC 4443 section 2.1). */
const filter = "tcp or icmp or (icmp6 and ip6[40] < 128)";
/** Every header, and enough of an ICMP error's quotation. */
const snapLength = 200;

/** tcpdump at a host's only interface. */
export class WireCapture {
  readonly host: Host;
  readonly file: string;
  readonly #tcpdump: ChildProcess;

  private constructor(host: Host, file: string, tcpdump: ChildProcess) {
    this.host = host;
    this.file = file;
    this.#tcpdump = tcpdump;
  }

  /** @throws DeadpeerError `lab-failed` with tcpdump's complaint. */
  static async start(host: Host, file: string): Promise<WireCapture> {
    // -Z root: it would give up the right to write into our folder. Each packet is written at once: a killed lab leaves whole ones.
    const args = [
      "-i",
      "wire",
      "-n",
      "-Z",
      "root",
      "-U",
      "--immediate-mode",
      "-s",
      String(snapLength),
      "-w",
      file,
      filter,
    ];
    const tcpdump = host.spawn("tcpdump", args, { stdio: ["ignore", "ignore", "pipe"] });
    await new Promise<void>((resolve, reject) => {
      let said = "";
      tcpdump.stderr?.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (said.includes("listening on")) resolve();
      });
      const failed = (): void =>
        reject(new DeadpeerError("lab-failed", `tcpdump: ${said.trim() || "cannot be started"}`));
      tcpdump.once("error", failed);
      tcpdump.once("exit", failed);
    });
    return new WireCapture(host, file, tcpdump);
  }

  /** Ends it; the file is whole then. */
  async stop(): Promise<void> {
    if (this.#tcpdump.exitCode !== null || this.#tcpdump.signalCode !== null) return;
    const ended = once(this.#tcpdump, "exit");
    this.#tcpdump.kill("SIGINT");
    await ended;
  }

  explain(): Promise<Explanation> {
    return explainCapture(createReadStream(this.file));
  }
}
