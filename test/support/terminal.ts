import { spawnSync } from "node:child_process";

/** What is waited for on the screen, and what is typed then. */
export type Step = readonly [expected: string, typed: string];

/** What a program in a terminal came to. */
export interface TerminalOutcome {
  readonly screen: string;
  /** As os.waitstatus_to_exitcode has it: below zero for a signal. */
  readonly status: number;
}

const typist = String.raw`
import fcntl, json, os, pty, select, signal, struct, sys, termios
steps, columns, *words = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0: os.execvp(words[0], words)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
screen, seen = "", 0
while True:
    while steps and steps[0][0] in screen[seen:]:
        expected, typed = steps.pop(0)
        seen = screen.index(expected, seen) + len(expected)
        os.write(terminal, typed.encode())
    if not select.select([terminal], [], [], 20)[0]:
        screen += " (and nothing more)"
        os.killpg(pid, signal.SIGKILL)
        break
    try: part = os.read(terminal, 4096)
    except OSError: break
    if not part: break
    screen += part.decode(errors="replace")
print(json.dumps({"screen": screen, "status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}))
`;

/** Runs a command in a terminal of its own, 24 lines high, and types into it when something has been written there. */
export function inTerminal(
  words: readonly [string, ...string[]],
  steps: readonly Step[] = [],
  columns = 80,
): TerminalOutcome {
  const { stdout, stderr, signal } = spawnSync(
    "python3",
    ["-c", typist, JSON.stringify([steps, columns, ...words])],
    { encoding: "utf8", timeout: 60_000 },
  );
  if (stdout === "") throw new Error(`nothing came of ${words.join(" ")} (${String(signal)}): ${stderr}`);
  return JSON.parse(stdout) as TerminalOutcome;
}
