import assert from "node:assert/strict";
import { test } from "node:test";

import { retryDelay } from "../../static/js/backoff.js";

test("is spread over the whole range, which doubles up to a cap", () => {
  assert.equal(retryDelay(0, { random: () => 0 }), 0);
  assert.equal(retryDelay(0, { random: () => 1 }), 500);
  assert.equal(retryDelay(3, { random: () => 1 }), 4000);
  assert.equal(retryDelay(1000, { random: () => 1 }), 30_000);
});

test("never comes back before the server asked, nor all at once", () => {
  assert.equal(retryDelay(0, { retryAfterS: 8, random: () => 0 }), 8000);
  assert.equal(retryDelay(9, { retryAfterS: 8, random: () => 1 }), 9000);
});

test("does not believe an absurd or broken retryAfter", () => {
  assert.equal(retryDelay(0, { retryAfterS: 1e9, random: () => 0 }), 300_000);
  assert.equal(retryDelay(0, { retryAfterS: Number.NaN, random: () => 1 }), 500);
  assert.equal(retryDelay(0, { retryAfterS: -5, random: () => 1 }), 500);
});
