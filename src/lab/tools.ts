import { execFile, spawnSync } from "node:child_process";
import { DeadpeerError } from "../errors.js";
import { requireLinux } from "../kernel/platform.js";

/** The programs that a lab is made with, and the Debian packages that bring them. */
const tools = {
  ip: { package: "iproute2", ask: "-V" },
  nft: { package: "nftables", ask: "-v" },
  tcpdump: { package: "tcpdump", ask: "--version" },
} as const;

export type Tool = keyof typeof tools;

/**
 * Says at once what a lab would fail for later.
 *
 * @throws DeadpeerError `platform-unsupported` off Linux, `permission-denied` without root, `tool-missing`.
 */
export function requireLabTools(): void {
  requireLinux("network namespaces");
  if (process.geteuid?.() !== 0)
    throw new DeadpeerError(
      "permission-denied",
      "the lab makes network namespaces, which needs CAP_SYS_ADMIN and CAP_NET_ADMIN; run as root",
    );
  for (const tool of Object.keys(tools) as Tool[]) {
    const { error } = spawnSync(tool, [tools[tool].ask], { stdio: "ignore" });
    if (error !== undefined) throw missing(tool);
  }
}

function missing(tool: Tool): DeadpeerError {
  return new DeadpeerError(
    "tool-missing",
    `the lab needs ${tool}, which cannot be started; install ${tools[tool].package}`,
  );
}

/**
 * Runs a tool to its end.
 *
 * @param input what it reads: the whole batch, for one process is cheaper than many.
 * @throws DeadpeerError `tool-missing`; `lab-failed` with what the tool complained about.
 */
export function runTool(tool: Tool, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(tool, [...args], (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (error.code === "ENOENT") reject(missing(tool));
      else {
        const complaint = (stderr.trim() || error.message).replaceAll(/\s*\n\s*/g, "; ");
        reject(new DeadpeerError("lab-failed", `${tool} ${args.join(" ")}: ${complaint}`));
      }
    });
    // A tool that gives up early closes its input; its own complaint says why.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

/**
 * Runs `ip` with a batch of its own lines.
 *
 * @param namespace by name; this process's without it.
 * @param family for lines that do not tell it by an address.
 */
export async function ip(lines: readonly string[], namespace?: string, family: 4 | 6 = 4): Promise<void> {
  if (lines.length === 0) return;
  const where = namespace === undefined ? [] : ["-n", namespace];
  const which = family === 6 ? ["-6"] : [];
  await runTool("ip", [...where, ...which, "-batch", "-"], `${lines.join("\n")}\n`);
}

/** Loads a file of nftables rules in a namespace, all or nothing. */
export async function nft(namespace: string, rules: string): Promise<void> {
  await runTool("ip", ["netns", "exec", namespace, "nft", "-f", "-"], rules);
}
