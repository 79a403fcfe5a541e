import { release } from "node:os";
import { requireLinux } from "./platform.js";

/** A Linux version; the patch level is that of the distribution's kernel and says little about features. */
export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/**
 * Reads the start of `uname -r`; null if it does not begin with a version.
 *
 * @example parseKernelVersion("6.1.0-42-amd64") // { major: 6, minor: 1, patch: 0 }
 */
export function parseKernelVersion(text: string): KernelVersion | null {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  if (match === null) return null;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3] ?? 0) };
}

/**
 * The running kernel's version, or null if it does not say it in the usual way.
 *
 * Kernels of distributions carry features of later ones: ask features.ts whether something works, and use the version only to
 * say what would be needed.
 *
 * @throws DeadpeerError `platform-unsupported` off Linux.
 */
export function kernelVersion(): KernelVersion | null {
  requireLinux("Linux versions");
  return parseKernelVersion(release());
}

/** Negative if `a` is older than `b`, 0 if they are the same, positive if it is newer. */
export function compareKernelVersions(a: KernelVersion, b: KernelVersion): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

/**
 * Writes a version as people do.
 *
 * @example formatKernelVersion({ major: 6, minor: 15, patch: 0 }) // "6.15"
 */
export function formatKernelVersion({ major, minor, patch }: KernelVersion): string {
  return patch === 0 ? `${major}.${minor}` : `${major}.${minor}.${patch}`;
}
