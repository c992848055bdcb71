import assert from "node:assert/strict";
import { test } from "node:test";

import { createBudgetRefresh, describeBudget } from "../../static/js/budget.js";
import { explain } from "../../static/js/errors.js";
import { createStore } from "../../static/js/store.js";

const RESETS = "2026-12-01T12:00:00Z";
const budget = (spent, more) => ({ limit: 1000, reserved: 0, spent, resetsAt: RESETS, ...more });

test("the meter shows what is spent and set aside", () => {
  const { share, words } = describeBudget(budget(300, { reserved: 100 }));
  assert.equal(share, 0.4);
  assert.match(words, /^40% of this month’s budget used, resets .+$/);
  assert.equal(describeBudget(budget(900, { reserved: 400 })).share, 1);
});

test("a warning comes at 80 %, and its words change in steps", () => {
  const warning = (spent, more) => describeBudget(budget(spent, more)).warning;
  assert.equal(warning(799), "");
  assert.match(warning(800), /^More than 80% of this month’s budget is used\. It resets on .+\.$/);
  assert.equal(warning(899), warning(800));
  assert.match(warning(900), /^More than 90%/);
  assert.match(warning(951), /^More than 95%/);
  assert.match(warning(1000), /^This month’s budget is used up\. It resets on/);
  assert.match(warning(0, { limit: 0 }), /used up/);
});

test("what is only set aside warns of nothing", () => {
  assert.equal(describeBudget(budget(100, { reserved: 900 })).warning, "");
});

test("asking many times at once asks once more, and a failure keeps what is shown", async () => {
  const store = createStore({ budget: null });
  const answers = [];
  const api = { get: () => new Promise((resolve, reject) => answers.push({ resolve, reject })) };
  const refresh = createBudgetRefresh({ api, store });
  const done = refresh();
  refresh();
  refresh();
  answers[0].resolve({ budget: budget(1) });
  await new Promise(setImmediate);
  assert.equal(answers.length, 2);
  answers[1].resolve({ budget: budget(2) });
  await done;
  assert.equal(store.get().budget.spent, 2);
  const failing = refresh();
  answers[2].reject(new Error("away"));
  await failing;
  assert.equal(store.get().budget.spent, 2);
});

test("a refusal says whether anything is left, and when it resets", () => {
  const error = (detail) => explain({ status: 402, code: "budget_exhausted", message: "M.", detail });
  assert.equal(error({ remaining: 0, resetsAt: RESETS }).title, "Budget used up");
  assert.equal(error({ remaining: 9, resetsAt: RESETS }).title, "Not enough budget left");
  assert.match(error({ remaining: 9, resetsAt: RESETS }).text, /^M\. It resets on .+\.$/);
});
