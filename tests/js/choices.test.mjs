import assert from "node:assert/strict";
import test from "node:test";

import { ApiError } from "../../static/js/api.js";
import { createChoices } from "../../static/js/choices.js";
import { createStore } from "../../static/js/store.js";

const ANSWER = { key: "k2", seq: 2, feedback: null };

/** Choices over an API that answers each call in turn; an error is a refusal. */
function choicesOver(...answers) {
  const store = createStore({ conversationId: "c", messages: [ANSWER], model: "auto" });
  const told = [];
  const answer = async () => {
    const next = answers.shift();
    if (next instanceof Error) throw next;
  };
  const choices = createChoices({ api: { put: answer, patch: answer }, store, onTrouble: (error) => told.push(error.code) });
  return { choices, told, rating: () => store.get().messages[0].feedback?.rating ?? null };
}

const refusal = new ApiError({ code: "message_refused", message: "no", status: 422 });

test("a comment that is refused leaves the thumb that the server has", async () => {
  const { choices, told, rating } = choicesOver(null, refusal);
  assert.equal(await choices.rate(ANSWER, "down"), true);
  // With the message as it was when the thumb was pressed.
  assert.equal(await choices.rate(ANSWER, "down", "a comment"), false);
  assert.equal(rating(), "down");
  assert.deepEqual(told, ["message_refused"]);
});

test("a thumb that is refused is taken back", async () => {
  const { choices, rating } = choicesOver(refusal);
  assert.equal(await choices.rate(ANSWER, "up"), false);
  assert.equal(rating(), null);
});
