import { existsSync, readdirSync } from "node:fs";
import { checkout } from "../support/checkout.js";

/** The documents whose blocks are run: paths from the checkout's root. */
export const documents: readonly string[] = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...readdirSync(`${checkout}docs`)
    .filter((name) => name.endsWith(".md"))
    .sort()
    .map((name) => `docs/${name}`),
].filter((path) => existsSync(checkout + path));
