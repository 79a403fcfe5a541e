/**
 * Silences from one to another, both included, each longer than the one before by the same factor where that is no smaller than
 * the least step: a short memory shows as exactly, in proportion, as a long one.
 *
 * @param leastStep how near two neighbours may be, at a silence.
 * @example climb(1_000, 8_000, 4, () => 500) // [1000, 2000, 4000, 8000]
 */
export function climb(
  fromMs: number,
  toMs: number,
  count: number,
  leastStep: (atMs: number) => number,
): number[] {
  const silences: number[] = [];
  let silentMs = fromMs;
  // Rounding must not make a last step that is no step.
  for (let left = count - 1; left > 0 && silentMs < toMs - leastStep(silentMs) / 2; left--) {
    silences.push(Math.round(silentMs));
    // After steps that were longer than the factor asked for, the others may be shorter.
    const factor = (toMs / silentMs) ** (1 / left);
    silentMs = Math.max(silentMs * factor, silentMs + leastStep(silentMs));
  }
  silences.push(toMs);
  return silences;
}

/**
 * Silences evenly between two, neither included.
 *
 * @example between(4_000, 8_000, 3) // [5000, 6000, 7000]
 */
export function between(fromMs: number, toMs: number, count: number): number[] {
  const stepMs = (toMs - fromMs) / (count + 1);
  return Array.from({ length: count }, (_, index) => Math.round(fromMs + stepMs * (index + 1)));
}
