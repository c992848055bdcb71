import assert from "node:assert/strict";
import { test } from "node:test";

import { createDrafts } from "../../static/js/drafts.js";
import { explain } from "../../static/js/errors.js";
import { hasRecentText, localMessage, settleAnswer } from "../../static/js/messages.js";
import { createStore } from "../../static/js/store.js";
import { dayGroup, duration, queueWords } from "../../static/js/time.js";
import { usageWords } from "../../static/js/usage.js";
import { uuid } from "../../static/js/uuid.js";

test("days are grouped by the reader's calendar", () => {
  const now = new Date(2026, 10, 20, 0, 30);
  const ago = (days, hours = 0) => new Date(2026, 10, 20 - days, 12 - hours);
  assert.equal(dayGroup(new Date(2026, 10, 19, 23, 59), now), "Yesterday");
  assert.equal(dayGroup(now, now), "Today");
  assert.equal(dayGroup(new Date(2026, 10, 21), now), "Today");
  assert.equal(dayGroup(ago(7), now), "Previous 7 days");
  assert.equal(dayGroup(ago(8), now), "Previous 30 days");
  assert.equal(dayGroup(ago(60), now), "September");
  assert.equal(dayGroup(ago(400), now), "October 2025");
});

test("the queue is told in words", () => {
  assert.equal(queueWords({ position: 3, etaMs: 12_000 }), "Waiting in the queue at position 3 (about 12 seconds)");
  assert.equal(queueWords({ position: 1, etaMs: null }), "Waiting in the queue at position 1");
  assert.equal(queueWords(null), "Waiting in the queue");
  assert.deepEqual([0, 1, 59.2, 90, 7200].map(duration), ["1 second", "1 second", "1 minute", "2 minutes", "2 hours"]);
});

test("what an answer took is told in words", () => {
  const took = (cachedTokens) => usageWords({ inputTokens: 21, cachedTokens, outputTokens: 40, costMicros: 0 });
  assert.equal(took(1034), "1,055 tokens read, 1,034 of them from the cache; 40 written");
  assert.equal(took(0), "21 tokens read; 40 written");
  assert.equal(usageWords(null), "");
});

test("every refusal says what to do", () => {
  const error = (status, more) => explain({ status, code: "x", message: "M.", retryAfter: null, detail: null, ...more });
  assert.match(error(402, { detail: { resetsAt: "2026-12-01T00:00:00Z" } }).text, /resets on/);
  assert.match(error(429, { retryAfter: 8 }).text, /8 seconds/);
  assert.match(error(429, { retryAfter: 7200, detail: { window: "day", limit: 500 } }).text, /500 .* 2 hours/);
  assert.equal(error(401).action, "signin");
  assert.equal(error(503, { retryAfter: 3 }).action, "wait");
  assert.equal(error(0, { code: "network" }).title, "No connection");
  assert.match(error(409, { code: "generation_active" }).text, /kept here/);
  assert.equal(error(403, { code: "csrf_failed" }).action, "reload");
  assert.equal(error(422).support, null);
  assert.equal(error(422, { detail: { category: "hate", supportMessage: "Call **112**." } }).support, "Call **112**.");
  assert.equal(error(418).text, "M.");
});

test("a settled answer takes the stored message", () => {
  const list = [localMessage("u", "user", "q"), localMessage("a", "assistant", "")];
  const answer = { status: "done", text: "t", messageId: "m", message: { seq: 2, parentSeq: 1, content: "t", status: "complete" } };
  const [user, reply] = settleAnswer(list, "a", "u", answer);
  assert.equal(user.seq, 1);
  assert.deepEqual([reply.seq, reply.content, reply.status, reply.live], [2, "t", "complete", null]);
  assert.ok(hasRecentText(list, "q"));
});

test("a draft survives, and a message under way keeps its key", () => {
  const kept = new Map();
  const drafts = createDrafts({
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  });
  drafts.write("", { text: "new", sent: { text: "sent", key: "k" } });
  drafts.move("", "c1");
  assert.equal(drafts.read("").text, "");
  assert.equal(drafts.read("c1").sent.key, "k");
  drafts.delivered("c1");
  assert.deepEqual(drafts.read("c1"), { text: "new", sent: null });
  kept.set("parley:draft:c2", "{broken");
  assert.deepEqual(drafts.read("c2"), { text: "", sent: null });
});

test("a watcher is told only of what it watches", () => {
  const store = createStore({ a: 1, b: 1 });
  const seen = [];
  const leave = store.watch(["a"], ({ a }) => seen.push(a));
  store.set({ b: 2 });
  store.set(({ a }) => ({ a: a + 1 }));
  leave();
  store.set({ a: 9 });
  assert.deepEqual(seen, [1, 2]);
});

test("uuid has the form of version 4 without randomUUID too", () => {
  const getRandomValues = (bytes) => bytes.fill(255);
  assert.equal(uuid({ getRandomValues }), "ffffffff-ffff-4fff-bfff-ffffffffffff");
});
