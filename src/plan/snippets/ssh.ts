import { formatDuration } from "../duration.js";
import { aloneMs, type KeepaliveSeconds, keepaliveAlone, type RoundedSettings } from "./rounding.js";
import { keepalivePurpose, lines, type TargetDefinition } from "./snippet.js";

/** More unanswered messages than this only cost packets. */
const longestCount = 10;

/**
 * One end's own messages. It sends one after each interval without input, and ends the connection when it would send one
 * more than the count (client_alive_check, server_alive_check): count + 1 waits.
 */
interface AliveMessages {
  readonly prefix: "ClientAlive" | "ServerAlive";
  readonly file: string;
  /** Lines before, and what each is indented with. */
  readonly section: string | null;
  readonly indent: string;
  /** How many intervals a wait can take. */
  readonly waitIntervals: number;
  readonly waitNote: string;
}

const server: AliveMessages = {
  prefix: "ClientAlive",
  file: "sshd_config",
  section: null,
  indent: "",
  // wait_until_can_do_something polls for one interval, asks in whole seconds whether more than that has passed, and polls
  // again. Measured on 9.2p1: 3 s with a count of 3 took 24 s.
  waitIntervals: 2,
  waitNote:
    "sshd of OpenSSH 9.2 lets twice the interval pass before each message; one that does not gives up in half the time",
};

const client: AliveMessages = {
  prefix: "ServerAlive",
  file: "~/.ssh/config",
  section: "Host *",
  indent: "    ",
  waitIntervals: 1,
  waitNote: "ssh gives up one interval after the last unanswered message",
};

function write(
  settings: RoundedSettings,
  { prefix, file, section, indent, waitIntervals, waitNote }: AliveMessages,
): { text: string; notes: readonly string[] } {
  const keepalive = keepaliveAlone(settings);
  if (keepalive === null)
    return {
      text: lines(
        `# ${keepalivePurpose(settings)}. In ${file}:`,
        section,
        `${indent}TCPKeepAlive no`,
        `${indent}${prefix}Interval 0`,
      ),
      notes: [],
    };
  const { intervalS, count, withinMs } = fit(keepalive, waitIntervals);
  return {
    text: lines(
      `# Notices a dead peer within ${formatDuration(withinMs)}, idle or not. In ${file}:`,
      section,
      `${indent}${prefix}Interval ${intervalS}`,
      `${indent}${prefix}CountMax ${count}`,
      `${indent}TCPKeepAlive yes`,
    ),
    notes: [
      ...(withinMs > aloneMs(keepalive)
        ? [`it cannot promise to notice sooner than ${formatDuration(withinMs)}`]
        : []),
      waitNote,
      "OpenSSH asks the other program itself, so data in flight needs no user timeout and a hung peer is noticed too",
      "TCPKeepAlive takes the system's times",
    ],
  };
}

/** The plan's own count where whole seconds allow, and the longest interval that is still in time. */
function fit(
  keepalive: KeepaliveSeconds,
  waitIntervals: number,
): { intervalS: number; count: number; withinMs: number } {
  const budgetS = aloneMs(keepalive) / 1_000;
  const most = Math.floor(budgetS / waitIntervals) - 1;
  const count = Math.max(1, Math.min(keepalive.count, longestCount, most));
  const intervalS = Math.max(1, Math.floor(budgetS / (waitIntervals * (count + 1))));
  return { intervalS, count, withinMs: waitIntervals * intervalS * (count + 1) * 1_000 };
}

export const sshd: TargetDefinition = {
  id: "sshd",
  title: "OpenSSH server",
  aliases: ["openssh-server"],
  needs: "any OpenSSH",
  write: (settings) => write(settings, server),
};

export const ssh: TargetDefinition = {
  id: "ssh",
  title: "OpenSSH client",
  aliases: ["openssh", "scp", "sftp"],
  needs: "any OpenSSH",
  write: (settings) => write(settings, client),
};
