import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { DeadpeerError } from "../errors.js";
import { exitStatus, statusOf } from "./exit.js";
import { explainCommand } from "./explain.js";
import { labCommand } from "./lab.js";
import { lsCommand } from "./ls.js";
import { note } from "./note.js";
import { planCommand } from "./plan.js";
import { sysctlCommand } from "./sysctl.js";

const about = `Finds out that the other side of a TCP connection is gone, before your users do.

Exit status: 0 done; 1 findings that --check asked to fail on; 2 bad usage or input; 3 something is missing (a privilege, a kernel feature, a tool), named. With --json: one JSON value on stdout, everything else on stderr.`;

/** The whole command line. Each command's file loads what it works with only when it runs, so that --help is quick. */
export function createProgram(): Command {
  const program = new Command("deadpeer")
    .description(about)
    .version(packageVersion(), "-V, --version", "print the version")
    .helpCommand(false)
    .showHelpAfterError(false);
  for (const command of [planCommand(), lsCommand(), sysctlCommand(), explainCommand(), labCommand()])
    program.addCommand(command);
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
  const program = createProgram();
  try {
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
