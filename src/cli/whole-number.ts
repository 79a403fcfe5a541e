import { DeadpeerError } from "../errors.js";

/**
 * Reads an option's whole number.
 *
 * @throws DeadpeerError `bad-option`: a sign, a fraction, a unit or nothing at all.
 */
export function wholeNumber(text: string, what: string): number {
  if (!/^\d+$/.test(text.trim()))
    throw new DeadpeerError("bad-option", `${what}: "${text}" is not a whole number`);
  return Number(text);
}
