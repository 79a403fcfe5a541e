import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import * as fc from "fast-check";
import { drawSequence } from "../../src/diagram/draw.js";
import { anySequence, frame, sequence } from "./made.js";

const lint = spawnSync("xmllint", ["--version"]);
const skip = lint.error === undefined ? false : "needs xmllint (libxml2-utils)";

test("the drawing is well-formed XML, whatever the texts", { skip }, () => {
  const drawings = fc.sample(anySequence, 60).map((made) => drawSequence(made).text);
  const { status, stderr } = spawnSync("xmllint", ["--noout", "-"], {
    input: `<all>${drawings.join("\n")}</all>`,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
});

test("what happened shows in the classes that are styled", () => {
  const { text } = drawSequence(
    sequence([
      frame(0, "a", "keep-alive", { look: "probe", fate: "unanswered" }),
      frame(1, "a", "RST", { look: "reset" }),
      frame(2, "b", "data", { fate: "lost" }),
    ]),
  );
  assert.match(text, /<g class="probe unanswered">/);
  assert.match(text, /<g class="reset">.*class="cross"/);
  assert.match(text, /data · lost/);
});

test("title and description are there for those who do not see the picture", () => {
  const { text } = drawSequence(
    sequence([], { id: "f7", title: "10.0.0.1 → 10.0.0.2", description: "silent" }),
  );
  assert.match(text, /role="img" aria-labelledby="f7-title f7-desc"/);
  assert.match(text, /<title id="f7-title">10.0.0.1 → 10.0.0.2<\/title>/);
  assert.match(text, /<desc id="f7-desc">silent<\/desc>/);
});
