import type { BootLine } from "./boot-files.js";

/**
 * Where a value comes from.
 * - `default`: the kernel's own, and no file says otherwise.
 * - `file`: a line that the boot applies, or that somebody has applied since.
 * - `runtime`: written to the running kernel; the next boot brings `bootValue` instead.
 */
export type SysctlSource =
  | { readonly kind: "default" }
  | { readonly kind: "file"; readonly path: string; readonly line: number }
  | {
      readonly kind: "runtime";
      /** What the next boot gives; null in a namespace that no boot file reaches. */
      readonly bootValue: number | null;
      /** The line that gives it, if it is not the kernel's default. */
      readonly bootLine: { readonly path: string; readonly line: number } | null;
      /** deadpeer wrote it: `sysctl set --undo` puts `original` back. */
      readonly original: number | null;
    };

/** All that decides where a value comes from. */
export interface SourceEvidence {
  readonly value: number;
  readonly kernelDefault: number;
  /** The boot's line; null when none sets it, and in every namespace but the one that boots. */
  readonly line: BootLine | null;
  /** Boot files reach this namespace: it is the one that init lives in. */
  readonly boots: boolean;
  /** What deadpeer found before it wrote `value`, from its journal. */
  readonly original: number | null;
}

export function sourceOf({ value, kernelDefault, line, boots, original }: SourceEvidence): SysctlSource {
  const fromFile = line === null ? Number.NaN : toNumber(line.value);
  // The kernel refuses what is no number, so such a line leaves the default standing.
  const place = line === null || Number.isNaN(fromFile) ? null : { path: line.path, line: line.line };
  if (place !== null && fromFile === value) return { kind: "file", ...place };
  if (place === null && value === kernelDefault) return { kind: "default" };
  return {
    kind: "runtime",
    bootValue: boots ? (place === null ? kernelDefault : fromFile) : null,
    bootLine: place,
    original,
  };
}

/** As the kernel reads a number: decimal, 0x and leading-zero octal (strtoul_lenient), up to the first thing that is none. */
export function toNumber(text: string): number {
  const [, sign = "", hex, octal, decimal] = /^\s*(-?)(?:0x([0-9a-f]+)|0([0-7]+)|([0-9]+))/i.exec(text) ?? [];
  const magnitude =
    hex === undefined
      ? octal === undefined
        ? Number(decimal)
        : Number.parseInt(octal, 8)
      : Number.parseInt(hex, 16);
  return sign === "-" ? -magnitude : magnitude;
}
