const units = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/**
 * A number of bytes for people, to three digits.
 *
 * @example bytesText(14_180_000) // "14.2 MB"
 */
export function bytesText(count: number): string {
  const power = count === 0 ? 0 : Math.min(Math.floor(Math.log10(count) / 3), units.length - 1);
  return `${Number((count / 1_000 ** power).toPrecision(3))} ${units[power]}`;
}
