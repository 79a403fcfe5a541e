import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { DeadpeerError } from "../errors.js";
import { exitStatus, statusOf } from "./exit.js";
import { note } from "./note.js";

const about = `Finds out that the other side of a TCP connection is gone, before your users do.

Exit status: 0 done; 1 findings that --check asked to fail on; 2 bad usage or input; 3 something is missing (a privilege, a kernel feature, a tool), named. With --json: one JSON value on stdout, everything else on stderr.`;

/** In the order of --help. Each is loaded when it is asked for, and loads what it works with when it runs. */
const commands: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ["plan", async () => (await import("./plan.js")).planCommand()],
  ["ls", async () => (await import("./ls.js")).lsCommand()],
  ["advise", async () => (await import("./advise.js")).adviseCommand()],
  ["run", async () => (await import("./run.js")).runCommand()],
  ["policy", async () => (await import("./policy.js")).policyCommand()],
  ["set", async () => (await import("./set.js")).setCommand()],
  ["kill", async () => (await import("./kill.js")).killCommand()],
  ["sysctl", async () => (await import("./sysctl.js")).sysctlCommand()],
  ["watch", async () => (await import("./watch.js")).watchCommand()],
  ["cleanup", async () => (await import("./cleanup.js")).cleanupCommand()],
  ["explain", async () => (await import("./explain.js")).explainCommand()],
  ["nat", async () => (await import("./nat.js")).natCommand()],
  ["http", async () => (await import("./http.js")).httpCommand()],
  ["echo", async () => (await import("./echo.js")).echoCommand()],
  ["lab", async () => (await import("./lab.js")).labCommand()],
]);

/** The command line as far as these arguments need it: one command where they begin with its name, all of them otherwise. */
async function createProgram([first = ""]: readonly string[]): Promise<Command> {
  const program = new Command("deadpeer")
    .description(about)
    .version(packageVersion(), "-V, --version", "print the version")
    .helpCommand(false)
    // What follows a program's name belongs to that program: run takes it as it stands.
    .enablePositionalOptions()
    .showHelpAfterError(false);
  const asked = commands.get(first);
  const loading = asked === undefined ? [...commands.values()] : [asked];
  for (const command of await Promise.all(loading.map((load) => load()))) program.addCommand(command);
  overrideExits(program);
  return program;
}

/** Commander ends the process by itself unless every command is told to throw instead. */
function overrideExits(command: Command): void {
  command.exitOverride().configureOutput({
    // Commander puts its suggestion on a second line; one clear line is the house's way.
    outputError: (text) =>
      note(
        `${text
          .trim()
          .replace(/^error: /, "")
          .replaceAll("\n(Did", " (Did")}; see --help`,
      ),
  });
  for (const child of command.commands) overrideExits(child);
}

/** Runs the command line and leaves its exit status in process.exitCode. Never throws. */
export async function main(argv: readonly string[]): Promise<void> {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // `deadpeer ls | head` closes our stdout early; that is the reader's right and no error.
    if (error.code === "EPIPE") process.exit(process.exitCode ?? exitStatus.done);
    note(`cannot write to stdout: ${error.message}`);
    process.exit(exitStatus.missing);
  });
  // Whoever has closed stderr, or filled its disk, does not want to read; the exit status tells it still.
  process.stderr.on("error", () => {});
  try {
    const program = await createProgram(argv);
    if (argv.length === 0) program.help();
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    process.exitCode = report(error);
  }
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitStatus.done : exitStatus.badInput;
  if (error instanceof DeadpeerError) {
    note(error.message);
    return statusOf(error.code);
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`deadpeer: this is a defect in deadpeer, please report it:\n${detail}\n`);
  return exitStatus.defect;
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return (manifest as { version: string }).version;
}
