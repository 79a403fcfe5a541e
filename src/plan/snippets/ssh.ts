import { formatDuration } from "../duration.js";
import { aloneMs, type KeepaliveSeconds, type RoundedSettings } from "./rounding.js";
import { keepalivePurpose, lines, type TargetDefinition, withoutUserTimeout } from "./snippet.js";

/** More unanswered messages than this only cost packets. */
const longestCount = 10;

/**
 * OpenSSH's own messages (client_alive_check, server_alive_check): one each interval without input, and the end when one more
 * would be due: interval x (count + 1). They are answered by the other program, so they also see it hang.
 */
function aliveMessages(keepalive: KeepaliveSeconds): { intervalS: number; count: number; withinMs: number } {
  const budgetS = Math.floor(aloneMs(keepalive) / 1_000);
  const count = Math.min(keepalive.count, longestCount, Math.max(1, budgetS - 1));
  const intervalS = Math.floor(budgetS / (count + 1));
  return { intervalS, count, withinMs: intervalS * (count + 1) * 1_000 };
}

function write(
  settings: RoundedSettings,
  prefix: "ClientAlive" | "ServerAlive",
  file: string,
  indent: string,
): { text: string; notes: readonly string[] } {
  const { keepalive } = withoutUserTimeout(settings, "OpenSSH");
  if (keepalive === null)
    return {
      text: lines(
        `# ${keepalivePurpose(settings)}. In ${file}:`,
        indent === "" ? null : "Host *",
        `${indent}TCPKeepAlive no`,
        `${indent}${prefix}Interval 0`,
      ),
      notes: [],
    };
  const { intervalS, count, withinMs } = aliveMessages(keepalive);
  return {
    text: lines(
      `# Notices a dead peer within ${formatDuration(withinMs)}, idle or not. In ${file}:`,
      indent === "" ? null : "Host *",
      `${indent}${prefix}Interval ${intervalS}`,
      `${indent}${prefix}CountMax ${count}`,
      `${indent}TCPKeepAlive yes`,
    ),
    notes: [
      "OpenSSH asks the other program itself, so data in flight needs no user timeout and a hung peer is noticed too",
      `it gives up after interval x (count + 1), ${formatDuration(withinMs)}`,
      "TCPKeepAlive takes the system's times",
    ],
  };
}

export const sshd: TargetDefinition = {
  id: "sshd",
  title: "OpenSSH server",
  aliases: ["openssh-server"],
  needs: "any OpenSSH; before 8.2 a CountMax of 0 had another meaning",
  write: (settings) => write(settings, "ClientAlive", "sshd_config", ""),
};

export const ssh: TargetDefinition = {
  id: "ssh",
  title: "OpenSSH client",
  aliases: ["openssh", "scp", "sftp"],
  needs: "any OpenSSH",
  write: (settings) => write(settings, "ServerAlive", "~/.ssh/config", "    "),
};
