/** Up to so many processes are named one by one. */
export const namedAtMost = 6;

/** @example listed([4711, 4712]) // "4711, 4712" */
export function listed(pids: readonly number[]): string {
  const shown = pids.slice(0, namedAtMost).join(", ");
  return pids.length > namedAtMost ? `${shown} and ${pids.length - namedAtMost} more` : shown;
}
