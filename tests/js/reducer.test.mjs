import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { matchesStored, sha256Hex } from "../../static/js/digest.js";
import { applyEvent, emptyAnswer, isNewer } from "../../static/js/reducer.js";

const event = (id, type, data = {}) => ({ id, type, data });
const run = (events, from = emptyAnswer()) => events.reduce(applyEvent, from);

const LOG = [
  event("1-1", "queued", { position: 2, etaMs: 4000 }),
  event("1-2", "started", { generationId: "g", messageId: "m", model: "small", attempt: 1 }),
  event("1-3", "delta", { text: "Hel" }),
  event("1-4", "delta", { text: "lo" }),
  event("2-1", "snapshot", { text: "" }),
  event("2-2", "delta", { text: "Good " }),
  event("2-3", "delta", { text: "day" }),
  event("2-4", "done", { stopReason: "end_turn", message: { seq: 2, content: "Good day" } }),
];

test("follows an answer from the queue to its end", () => {
  assert.equal(run(LOG.slice(0, 1)).status, "queued");
  assert.deepEqual(run(LOG.slice(0, 1)).queue, { position: 2, etaMs: 4000 });
  assert.equal(run(LOG.slice(0, 2)).status, "thinking");
  assert.equal(run(LOG.slice(0, 4)).text, "Hello");
  const end = run(LOG);
  assert.equal(end.text, "Good day");
  assert.equal(end.status, "done");
  assert.equal(end.model, "small");
  assert.equal(end.cursor, "2-4");
});

test("a reader cut anywhere, who gets everything again, ends with the same answer", () => {
  for (let cut = 0; cut <= LOG.length; cut += 1) {
    for (let back = 0; back <= cut; back += 1) {
      const seen = run(LOG.slice(0, cut));
      assert.deepEqual(run(LOG.slice(back), seen), run(LOG), `cut ${cut}, back to ${back}`);
    }
  }
});

test("drops what comes late from a lower attempt", () => {
  const seen = run(LOG.slice(0, 6));
  assert.equal(applyEvent(seen, event("1-9", "delta", { text: "late" })), seen);
});

test("a new attempt that goes on appends", () => {
  const text = run([event("1-1", "delta", { text: "a" }), event("2-1", "delta", { text: "b" })]).text;
  assert.equal(text, "ab");
});

test("orders ids by numbers, attempt first", () => {
  assert.ok(isNewer("1-10", "1-9"));
  assert.ok(isNewer("10-1", "9-99"));
  assert.ok(!isNewer("1-9", "1-9"));
  assert.ok(isNewer("1-1", null));
});

test("a halted answer shows the notice and nothing of the text", () => {
  const end = run([event("1-1", "delta", { text: "bad" }), event("2-1", "halted", { category: "c", notice: "Withdrawn." })]);
  assert.equal(end.text, "Withdrawn.");
  assert.equal(end.status, "halted");
});

test("stopped and failed answers keep their text", () => {
  const begun = run([event("1-1", "delta", { text: "so far" })]);
  assert.equal(applyEvent(begun, event("1-2", "stopped", { message: { seq: 4 } })).text, "so far");
  const failed = applyEvent(begun, event("1-2", "failed", { error: { code: "x", message: "y" } }));
  assert.equal(failed.text, "so far");
  assert.equal(failed.error.code, "x");
});

test("nothing changes after the end, nor through unknown events", () => {
  const end = run(LOG);
  assert.equal(applyEvent(end, event("3-1", "delta", { text: "more" })), end);
  assert.equal(applyEvent(emptyAnswer(), event("1-1", "toString")).status, "waiting");
});

test("knows whether the text on the screen is the stored one", async () => {
  const sha256 = createHash("sha256").update("čau", "utf8").digest("hex");
  assert.equal(await sha256Hex("čau"), sha256);
  const done = (text, more) => ({ ...emptyAnswer(), status: "done", text, sha256, message: { content: "čau" }, ...more });
  assert.ok(await matchesStored(done("čau")));
  assert.ok(!(await matchesStored(done("čau!"))));
  assert.ok(!(await matchesStored(done("ahoj", { message: null }))));
  assert.ok(await matchesStored({ ...emptyAnswer(), status: "stopped", text: "x" }));
});
