import assert from "node:assert/strict";
import { test } from "node:test";
import { retries2Ms, retries2Within } from "../../src/plan/retries2.js";

test("the largest tcp_retries2 that can give up in time", () => {
  assert.equal(retries2Within(35_000), 6);
  assert.equal(retries2Ms(6), 25_400);
  assert.equal(retries2Within(924_600), 15);
  assert.equal(retries2Within(924_599), 14);
});

test("never none at all, and never more than the kernel's byte holds", () => {
  assert.equal(retries2Within(1), 1);
  assert.equal(retries2Within(2_000_000_000), 255);
});
