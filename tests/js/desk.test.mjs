import assert from "node:assert/strict";
import { test } from "node:test";

import { nextPlace } from "../../static/js/desk.js";

test("the queue is walked from its first event, and no further than its ends", () => {
  assert.equal(nextPlace(-1, 3, 1), 0);
  assert.equal(nextPlace(-1, 3, -1), 0);
  assert.equal(nextPlace(0, 3, 1), 1);
  assert.equal(nextPlace(2, 3, 1), 2);
  assert.equal(nextPlace(0, 3, -1), 0);
});
