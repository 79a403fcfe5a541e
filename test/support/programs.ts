import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Another program, of which a test knows when it is ready, and that is gone afterwards. */
export interface Program {
  readonly process: ChildProcess;
  /** Resolves when a line of its output is `line`. Rejects, with what it said, if it ends before. */
  says(line: string): Promise<void>;
  /** Kills it as a crash would (SIGKILL), and waits. */
  kill(): Promise<void>;
}

/** @example startProgram(["node", "-e"], 'console.log("ready"); setInterval(() => {}, 1000)') */
export function startProgram(command: readonly string[], ...args: readonly string[]): Program {
  const [program = "", ...first] = command;
  const child = spawn(program, [...first, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
  const ended = once(child, "close");
  return {
    process: child,
    says: (line) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (output.split("\n").includes(line)) resolve();
        };
        child.stdout.on("data", look);
        look();
        ended.then(() => reject(new Error(`${command.join(" ")} ended: ${output}`)), reject);
      }),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Whether a program can be started by its name. */
export function onPath(program: string): boolean {
  return `${process.env["PATH"]}:/usr/local/sbin:/usr/sbin:/sbin`
    .split(":")
    .some((folder) => existsSync(join(folder, program)));
}

/** Why some of these cannot be started here; false: they can. */
export function missingPrograms(...names: readonly string[]): string | false {
  const lacks = names.filter((name) => !onPath(name));
  return lacks.length === 0 ? false : `not installed: ${lacks.join(", ")}`;
}
