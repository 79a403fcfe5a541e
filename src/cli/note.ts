/** Tells a person something on stderr, where it is in the way of no one who reads stdout. */
export function note(text: string): void {
  process.stderr.write(`deadpeer: ${text}\n`);
}
