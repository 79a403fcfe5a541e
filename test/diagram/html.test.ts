import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { html, verbatim } from "../../src/diagram/html.js";

test("what is put into a template is escaped, in text and in attributes", () => {
  const evil = `<script>"&'`;
  assert.equal(
    html`<p title="${evil}">${evil}</p>`.text,
    '<p title="&lt;script&gt;&quot;&amp;&#39;">&lt;script&gt;&quot;&amp;&#39;</p>',
  );
});

test("markup, lists and nothing", () => {
  const items = ["a", "<"].map((text) => html`<li>${text}</li>`);
  assert.equal(
    html`<ul>${items}${null}${verbatim("<hr>")}${7}</ul>`.text,
    "<ul><li>a</li><li>&lt;</li><hr>7</ul>",
  );
});

test("no text gets out of its place, and none has characters that XML forbids", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const inside = html`${text}`.text;
      assert.doesNotMatch(inside, /[<>"']/);
      // The same range again, written another way: XML 1.0 section 2.2.
      for (const character of inside) {
        const code = character.codePointAt(0) ?? 0;
        assert.ok(code >= 0x20 || [9, 10, 13].includes(code), `U+${code.toString(16)}`);
        assert.ok(code < 0xd800 || code > 0xdfff, `U+${code.toString(16)}`);
        assert.ok(code !== 0xfffe && code !== 0xffff, `U+${code.toString(16)}`);
      }
    }),
  );
});
