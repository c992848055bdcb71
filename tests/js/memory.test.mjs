// Where the line stands between what is summed up and what stands as it was said.

import assert from "node:assert/strict";
import { test } from "node:test";

import { firstAsSaid } from "../../static/js/views/memory.js";

const messages = [1, 2, 3, 4].map((seq) => ({ key: `k${seq}`, seq }));

test("the line stands before the first message that is not summed up", () => {
  assert.equal(firstAsSaid(messages, 2).key, "k3");
});

test("a message that is only just being sent comes after the line", () => {
  assert.equal(firstAsSaid([...messages, { key: "new", seq: null }], 4).key, "new");
});

test("there is no line without a summary, or while its end is not on the page", () => {
  assert.equal(firstAsSaid(messages, null), null);
  assert.equal(firstAsSaid(messages.slice(2), 2), null);
});

test("there is no line under everything", () => {
  assert.equal(firstAsSaid(messages, 4), null);
});
