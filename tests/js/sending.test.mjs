import assert from "node:assert/strict";
import test from "node:test";

import { ApiError } from "../../static/js/api.js";
import { createDrafts } from "../../static/js/drafts.js";
import { createSending } from "../../static/js/sending.js";
import { createStore } from "../../static/js/store.js";

const QUESTION = { key: "k1", seq: 1, role: "user", content: "cats", parentSeq: null };

/** Storage as a tab's. */
function storage() {
  const kept = new Map();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text), removeItem: (key) => kept.delete(key) };
}

/** Sending in a conversation whose server refuses with a code; `onRefusal` is run just before. */
function refusing(status, code, onRefusal = () => {}) {
  const store = createStore({ conversationId: "c", messages: [QUESTION], live: null, model: "auto", olderCursor: null, newerCursor: null });
  const drafts = createDrafts(storage());
  let visited = 1;
  const put = [];
  const sending = createSending({
    api: {}, store, drafts, navigate() {}, reload: async () => {}, goToNewest: async () => true, onRefused() {},
    list: { touch() {}, refresh() {}, remove() {}, forget() {} },
    answering: {
      async follow() {
        onRefusal(() => { visited += 1; });
        throw new ApiError({ status, code, message: "no" });
      },
    },
    visit: () => visited,
    ui: { restore: (text) => put.push(["box", text]), refuse() {} },
  });
  const edit = (text) => sending.send(text, { parentSeq: null, putBack: (typed) => put.push(["edit", typed]) });
  return { sending, edit, put, drafts, draft: () => drafts.read("c").text };
}

test("an edit that is refused for what it says stays open, and the box keeps its own", async () => {
  const { edit, put, drafts, draft } = refusing(422, "message_refused");
  drafts.write("c", { text: "for later", sent: null });
  await edit("dogs");
  assert.deepEqual(put, [["edit", "dogs"]]);
  assert.equal(draft(), "for later");
});

test("an edit whose page has to be loaded anew is kept in the tab", async () => {
  for (const [status, code] of [[401, "unauthenticated"], [403, "csrf_failed"], [409, "generation_active"], [0, "network"]]) {
    const { edit, put, draft } = refusing(status, code);
    await edit("dogs");
    assert.deepEqual(put, [["box", "dogs"]]);
    assert.equal(draft(), "dogs");
  }
});

test("an edit that is refused while its reader is elsewhere waits there, before what was typed", async () => {
  const { edit, put, drafts, draft } = refusing(422, "message_refused", (leave) => leave());
  drafts.write("c", { text: "for later", sent: null });
  await edit("dogs");
  assert.deepEqual(put, []);
  assert.equal(draft(), "dogs\n\nfor later");
});

test("a message that is refused is back in the box", async () => {
  const { sending, put, draft } = refusing(422, "message_refused");
  await sending.send("dogs");
  assert.deepEqual(put, [["box", "dogs"]]);
  assert.equal(draft(), "dogs");
});
