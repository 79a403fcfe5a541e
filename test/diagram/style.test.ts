import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { diagramStyle } from "../../src/diagram/style.js";

/** The colours of each theme: light first, then dark. */
const themes = diagramStyle
  .split("@media screen")
  .map(
    (part) =>
      new Map([...part.matchAll(/--(\w+): (#[0-9a-f]{6})/g)].map(([, name = "", hex = ""]) => [name, hex])),
  );

/** WCAG 2.2, relative luminance. */
function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.040_45 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].toSorted((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const text = ["ink", "dim"];
const words = ["data", "again", "bad", "good"];
const lines = ["data", "probe", "answer", "again", "bad", "dim"];

describe("contrast, by WCAG 2.2", () => {
  for (const [index, name] of ["light", "dark"].entries()) {
    const colour = (which: string): string => themes[index]?.get(which) ?? assert.fail(which);
    test(`text is at least 4.5 : 1, ${name}`, () => {
      for (const ground of ["paper", "panel", "band", "heard"])
        for (const which of text) assertContrast(colour(which), colour(ground), 4.5, `${which} on ${ground}`);
      for (const which of words) assertContrast(colour(which), colour("paper"), 4.5, `${which} on paper`);
    });
    test(`lines are at least 3 : 1, ${name}`, () => {
      for (const ground of ["paper", "band"])
        for (const which of lines) assertContrast(colour(which), colour(ground), 3, `${which} on ${ground}`);
    });
  }
});

function assertContrast(one: string, other: string, least: number, what: string): void {
  const seen = contrast(one, other);
  assert.ok(seen >= least, `${what}: ${seen.toFixed(2)} : 1`);
}
