/**
 * Silences from one to another, both included, each longer than the one before by the same factor: a short memory shows as
 * exactly, in proportion, as a long one.
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
  const factor = (toMs / fromMs) ** (1 / Math.max(1, count - 1));
  const silences: number[] = [];
  let silentMs = fromMs;
  // Rounding must not make a last step that is no step.
  while (silentMs < toMs - leastStep(silentMs) / 2) {
    silences.push(Math.round(silentMs));
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
