import { visible } from "../plan/visible.js";

/**
 * Tells a person something in one line on stderr, where it is in the way of no one who reads stdout. What a message quotes may
 * come from anywhere, so that no line break or terminal escape in it gets through.
 */
export function note(text: string): void {
  process.stderr.write(`deadpeer: ${visible(text)}\n`);
}
