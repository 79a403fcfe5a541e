import { chmodSync, cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
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

/** The built command in a folder that every user can read, whoever owns the checkout. */
export class ReadableCommand implements Disposable {
  readonly #home = mkdtempSync(join(tmpdir(), "dp-test-"));
  readonly cli = join(this.#home, "dist/cli/main.js");

  constructor() {
    chmodSync(this.#home, 0o755);
    for (const part of ["commander", "koffi", "@koromix"].map((name) => `node_modules/${name}`))
      cpSync(join(checkout, part), join(this.#home, part), { recursive: true, dereference: true });
    cpSync(join(checkout, "package.json"), join(this.#home, "package.json"));
    cpSync(join(checkout, "dist"), join(this.#home, "dist"), { recursive: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.#home, { recursive: true });
  }
}
