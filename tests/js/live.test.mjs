import assert from "node:assert/strict";
import { test } from "node:test";

import { describeLive } from "../../static/js/livewords.js";
import { emptyAnswer } from "../../static/js/reducer.js";
import { createTelling } from "../../static/js/telling.js";

const at = (more = {}) => describeLive({
  answer: emptyAnswer({ generationId: "g1" }), line: { state: "open" }, stopping: false, offline: false,
  heardAt: 0, openedAt: 0, now: 0, ...more,
});
const answer = (more) => ({ ...emptyAnswer({ generationId: "g1" }), ...more });

test("the way to the first word is told", () => {
  assert.equal(at({ line: { state: "connecting" } }).text, "Connecting…");
  assert.equal(at().text, "Thinking…");
  const queued = answer({ status: "queued", queue: { position: 4, etaMs: 8_000 } });
  assert.equal(at({ answer: queued, now: 60_000 }).text, "Waiting in the queue at position 4 (about 8 seconds)");
  assert.equal(at({ answer: answer({ status: "streaming" }) }).kind, "writing");
});

test("a lost connection counts down to the next try", () => {
  const line = { state: "waiting", until: 5_000, again: true };
  assert.equal(at({ line }).text, "Reconnecting in 5 s");
  assert.equal(at({ line, now: 3_200 }).text, "Reconnecting in 2 s");
  assert.equal(at({ line, now: 4_600 }).text, "Reconnecting…");
  assert.equal(at({ line: { state: "connecting", again: true } }).text, "Reconnecting…");
  assert.equal(at({ line: { ...line, busy: true } }).text, "Very busy right now. Trying again in 5 s");
});

test("a change of connection is told for a moment", () => {
  const line = { state: "open", moved: true };
  assert.equal(at({ line, now: 3_000 }).text, "Resumed on another connection");
  assert.equal(at({ line, now: 5_000 }).text, "Thinking…");
});

test("silence is explained, and so is being offline", () => {
  assert.equal(at({ now: 10_001 }).text, "Taking longer than usual – still working");
  assert.equal(at({ now: 10_001, heardAt: 9_000 }).kind, "thinking");
  assert.match(at({ offline: true, now: 2_000 }).text, /offline.*answer goes on/);
  assert.match(at({ offline: true, line: { state: "waiting", until: 9 }, answer: emptyAnswer() }).text, /will be sent/);
  assert.equal(at({ offline: true, answer: answer({ status: "streaming" }), now: 100 }).kind, "writing");
  assert.equal(at({ stopping: true, offline: true }).kind, "stopping");
});

test("a screen reader hears of a state once, when it lasts, and no numbers that move", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const said = [];
  const tell = createTelling((text) => said.push(text));
  tell({ kind: "reconnecting", text: "Reconnecting…" });
  context.mock.timers.tick(500);
  tell({ kind: "writing", text: "The answer is being written" });
  context.mock.timers.tick(5_000);
  assert.deepEqual(said, []);
  for (const left of [3, 2, 1]) {
    tell({ kind: "reconnecting", text: `Reconnecting in ${left} s` });
    context.mock.timers.tick(1_000);
  }
  assert.deepEqual(said, ["The connection was lost. Reconnecting."]);
  tell({ kind: "offline", text: "You are offline." });
  tell(null);
  context.mock.timers.tick(5_000);
  assert.equal(said.length, 1);
});
