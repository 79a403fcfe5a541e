import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { cli } from "./checkout.js";

/** What a command left behind. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A machine of its own as far as sysctls go: its own network, processes and mounts, with a boot's configuration folders that are
 * empty and vanish with it. Nothing done inside reaches the machine outside.
 */
export class Sandbox implements AsyncDisposable {
  readonly #holder: ChildProcess;
  /** Its init, seen from outside. */
  readonly pid: number;

  private constructor(holder: ChildProcess, pid: number) {
    this.#holder = holder;
    this.pid = pid;
  }

  /** Why there can be none here; false: there can. */
  static missing(): string | false {
    const { status, stderr } = spawnSync("unshare", ["--mount", "--net", "--pid", "--fork", "true"], {
      encoding: "utf8",
    });
    return status === 0 ? false : `needs CAP_SYS_ADMIN and unshare(1): ${stderr.trim()}`;
  }

  static async open(): Promise<Sandbox> {
    const prepare = [
      "set -e",
      "mount -t tmpfs tmpfs /run",
      "mkdir -p /run/sysctl.d",
      "for dir in /etc/sysctl.d /usr/lib/sysctl.d; do mkdir -p $dir; mount -t tmpfs tmpfs $dir; done",
      "if [ -e /etc/sysctl.conf ]; then : >/run/empty; mount --bind /run/empty /etc/sysctl.conf; fi",
      "ip link set lo up",
      "echo ready",
      // Lives until its stdin closes: also when this test process is killed.
      "cat",
    ].join("\n");
    const holder = spawn(
      "unshare",
      ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", prepare],
      { stdio: ["pipe", "pipe", "pipe"] },
    );
    let complaints = "";
    holder.stderr.on("data", (text: Buffer) => (complaints += text.toString()));
    const ready = once(holder.stdout, "data");
    const ended = once(holder, "exit").then(() => {
      throw new Error(`the sandbox could not be made: ${complaints}`);
    });
    await Promise.race([ready, ended]);
    ended.catch(() => {});
    const children = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, "utf8");
    return new Sandbox(holder, Number(children.trim()));
  }

  /** A file that stands for the sandbox's network, for setns. */
  get netns(): string {
    return `/proc/${this.pid}/ns/net`;
  }

  /** Runs a program inside to its end. */
  run(command: string, ...args: string[]): Outcome {
    return spawnSync("nsenter", [...this.#enter(), command, ...args], { encoding: "utf8" });
  }

  /** Runs a shell script inside; a test that needs it to succeed says so by `must`. */
  must(script: string): string {
    const { status, stdout, stderr } = this.run("sh", "-ec", script);
    if (status !== 0) throw new Error(`${script}\nended with ${status}: ${stderr}`);
    return stdout.trim();
  }

  /** Runs `deadpeer` inside. */
  deadpeer(...args: string[]): Outcome {
    return this.run(process.execPath, cli, ...args);
  }

  /** Starts a program inside; it ends with the sandbox at the latest. */
  start(command: string, ...args: string[]): ChildProcess {
    return spawn("nsenter", [...this.#enter(), command, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  }

  sysctl(name: string): number {
    return Number(this.must(`cat /proc/sys/net/ipv4/${name}`));
  }

  #enter(): string[] {
    return ["--target", String(this.pid), "--mount", "--net", "--pid"];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    const ended = once(this.#holder, "exit");
    // Its init: every process inside goes with it, and unshare(1) ends after it.
    process.kill(this.pid, "SIGKILL");
    await ended;
  }
}
