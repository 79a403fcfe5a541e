import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { z } from "zod";
import { scenarioSchema } from "../../src/lab/scenario/schema.js";
import { checkout } from "../support/checkout.js";

const published = `${checkout}src/lab/scenario.schema.json`;

/** To publish a change on purpose: UPDATE_SNAPSHOTS=1 npm test -- lab/schema */
test("the published JSON Schema is what scenario files are held to", () => {
  const text = `${JSON.stringify(z.toJSONSchema(scenarioSchema, { io: "input", reused: "ref" }), null, 2)}\n`;
  if (process.env["UPDATE_SNAPSHOTS"] === "1") writeFileSync(published, text);
  assert.deepEqual(JSON.parse(readFileSync(published, "utf8")), JSON.parse(text));
});
