import { type ChildProcess, execFile, spawn, type SpawnOptions, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { randomInt } from "node:crypto";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";

/** The reason to skip when a program is not installed, else false. */
export function without(...programs: readonly string[]): string | false {
  const missing = programs.filter((program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0);
  return missing.length === 0 ? false : `not installed: ${missing.join(", ")}`;
}

/** Runs a program to its end; its output, both streams, is in the error when it fails. */
export async function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; uid?: number; gid?: number } = {},
): Promise<string> {
  try {
    const { stdout, stderr } = await promisify(execFile)(command, [...args], options);
    return stdout + stderr;
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(" ")} failed:\n${stdout}${stderr}`, { cause: error });
  }
}

/** A folder that is removed when the test ends. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "deadpeer-snippets-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface Program {
  readonly pid: number;
  readonly child: ChildProcess;
  /** What it has printed so far. */
  readonly output: () => string;
}

/** Starts a program that is killed when the test ends. */
export function start(
  t: TestContext,
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Program {
  const child = spawn(command, [...args], { ...options, stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  child.on("error", (error) => {
    output += String(error);
  });
  t.after(() => stop(child));
  return { pid: child.pid ?? 0, child, output: () => output };
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** A port that nothing listened on a moment ago, on both loopback addresses. */
export async function freePort(): Promise<number> {
  // Below the ports that the kernel hands out to connections (from 32768 on): until the program binds it, another test's
  // connection could take one of those.
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const server = net.createServer();
    try {
      await listening(server, port, "::");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") continue;
      throw error;
    }
    server.close();
    await once(server, "close");
    return port;
  }
}

export async function listening(server: net.Server, port: number, host: string): Promise<number> {
  server.listen(port, host);
  await once(server, "listening");
  return (server.address() as net.AddressInfo).port;
}

/** Connects as soon as a starting server listens; says what the program printed if it ends first. */
export async function connectTo(
  t: TestContext,
  program: Program,
  port: number,
  host = "127.0.0.1",
): Promise<net.Socket> {
  for (;;) {
    const socket = net.connect(port, host);
    try {
      await once(socket, "connect");
      socket.on("error", () => undefined);
      t.after(() => socket.destroy());
      return socket;
    } catch {
      if (program.child.exitCode !== null || program.pid === 0)
        throw new Error(`the server ended before it listened:\n${program.output()}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
