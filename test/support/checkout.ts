import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout's root, with a slash at its end: compiled tests live one folder deeper than their sources. */
export const checkout = findUp(dirname(fileURLToPath(import.meta.url)));

/** The built command, as `npx deadpeer` runs it. */
export const cli = `${checkout}dist/cli/main.js`;

function findUp(directory: string): string {
  if (existsSync(`${directory}/package-lock.json`)) return `${directory}/`;
  if (directory === "/") throw new Error("the tests do not run inside a checkout");
  return findUp(dirname(directory));
}
