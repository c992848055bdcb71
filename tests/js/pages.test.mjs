import assert from "node:assert/strict";
import test from "node:test";

import { newestFirst } from "../../static/js/conversations.js";
import { localMessage, mergeNewer, mergeOlder, mergePage } from "../../static/js/messages.js";
import { createPages } from "../../static/js/pages.js";
import { createStore } from "../../static/js/store.js";

const role = (seq) => (seq % 2 ? "user" : "assistant");
/** Messages of these seqs, each following the one before it in the list. */
const branch = (...seqs) => seqs.map((seq, place) =>
  ({ messageId: `m${seq}`, seq, parentSeq: seqs[place - 1] ?? null, role: role(seq) }));
const shown = (messages) => messages.map((one) => ({ ...one, key: `k${one.seq}` }));
const seqs = (messages) => messages.map((one) => one.seq);
const upTo = (count) => Array.from({ length: count }, (_, place) => place + 1);

test("a page fetched again keeps the keys of what is shown", () => {
  const before = [...shown(branch(1, 2)), localMessage("k3", "user", "hi"), localMessage("k4", "assistant", "")];
  const page = branch(1, 2, 3, 4).slice(1);
  assert.deepEqual(mergePage(before, page).map((one) => one.key), ["k1", "k2", "k3", "k4"]);
});

test("an unconfirmed message is the newest of those that came, not the first", () => {
  const before = [...shown(branch(1, 2)), localMessage("new", "user", "hi")];
  assert.deepEqual(mergePage(before, branch(1, 2, 3, 4, 5)).map((one) => one.key), ["k1", "k2", "m3", "m4", "new"]);
});

test("of what is shown stays what the page goes on from, whichever branch that is", () => {
  const before = shown(branch(1, 2, 3, 4, 5, 6));
  // Edited elsewhere: 7 follows 2.
  assert.deepEqual(seqs(mergePage(before, branch(2, 7, 8).slice(1))), [1, 2, 7, 8]);
  // A gap: what lies between was never fetched.
  assert.deepEqual(seqs(mergePage(before, branch(30, 31, 32).slice(1))), [31, 32]);
  assert.deepEqual(seqs(mergePage(before, branch(9, 10))), [9, 10]);
});

test("older and newer pages come on either side, once", () => {
  const whole = branch(...upTo(9));
  const middle = shown(whole.slice(3, 6));
  assert.deepEqual(seqs(mergeOlder(middle, whole.slice(0, 4))), upTo(6));
  assert.deepEqual(seqs(mergeNewer(middle, whole.slice(5))), [4, 5, 6, 7, 8, 9]);
});

/** The service's pages of one conversation, with 40 messages or fewer each. */
function serve(messages) {
  const asked = [];
  const api = {
    async get(path) {
      asked.push(path);
      const query = new URLSearchParams(path.split("?")[1]);
      const limit = Number(query.get("limit"));
      const at = (name) => {
        const place = messages.findIndex((one) => one.seq === Number(query.get(name)));
        if (place < 0) throw Object.assign(new Error("gone"), { code: "message_not_found", status: 404 });
        return place;
      };
      let end = messages.length;
      let begin = Math.max(0, end - limit);
      if (query.has("before")) [begin, end] = [Math.max(0, at("before") - limit), at("before")];
      if (query.has("after")) [begin, end] = [at("after") + 1, Math.min(end, at("after") + 1 + limit)];
      if (query.has("around")) {
        end = Math.min(end, at("around") + Math.floor((limit - 1) / 2) + 1);
        begin = Math.max(0, end - limit);
      }
      await null;
      const page = messages.slice(begin, end);
      return { messages: page, nextCursor: begin > 0 ? page[0].seq : null,
        newerCursor: end < messages.length ? page.at(-1).seq : null, activeGeneration: null };
    },
  };
  return { api, asked };
}

async function open(messages) {
  const { api, asked } = serve(messages);
  const store = createStore({ conversationId: "c", messages: [], olderCursor: null, newerCursor: null, loading: "ready" });
  const heard = [];
  const show = (page) => store.set(({ messages: before, olderCursor }) => {
    const merged = mergePage(before, page.messages);
    const keeps = merged.length > page.messages.length;
    return { messages: merged, olderCursor: keeps ? olderCursor : page.nextCursor, newerCursor: page.newerCursor,
      loading: "ready" };
  });
  const pages = createPages({ api, store, show, onNewest: () => heard.push("newest"), onLeft: () => heard.push("left"),
    onTrouble: (error) => heard.push(error) });
  show(await pages.first("c"));
  return { pages, store, heard, asked, seqs: () => seqs(store.get().messages) };
}

/** Numbers that look drawn, the same ones each time (Park and Miller's minimal standard). */
const draws = (seed) => () => (seed = (seed * 48271) % 2147483647) / 2147483647;

test("whatever way the reader goes, the page is one stretch of the conversation", async () => {
  const whole = branch(...upTo(400));
  for (let seed = 1; seed <= 20; seed += 1) {
    const draw = draws(seed);
    const { pages, store, heard, seqs: now } = await open(whole);
    for (let step = 0; step < 25; step += 1) {
      const ways = [pages.loadOlder, pages.loadNewer, pages.goToNewest, pages.reload,
        () => pages.reach("c", 1 + Math.floor(draw() * 400))];
      const way = () => ways[Math.floor(draw() * ways.length)]();
      // Two at once, as when somebody scrolls and clicks.
      await Promise.all([way(), way()]);
      const [first] = now();
      assert.deepEqual(now(), now().map((_, place) => first + place));
      assert.equal(store.get().loading, "ready");
      assert.equal(store.get().olderCursor, first === 1 ? null : first);
      assert.equal(store.get().newerCursor, now().at(-1) === 400 ? null : now().at(-1));
    }
    assert.deepEqual(heard.filter((one) => one !== "newest"), []);
  }
});

test("a message far back is reached with one request, and from there the newest page by page", async () => {
  const { pages, heard, asked, seqs: now } = await open(branch(...upTo(200)));
  assert.equal(await pages.reach("c", 12), "m12");
  assert.equal(asked.length, 2);
  while (await pages.loadNewer());
  while (await pages.loadOlder());
  assert.deepEqual(now(), upTo(200));
  assert.deepEqual(heard, ["newest"]);
});

test("what is not there any more is not reached, and nothing moves", async () => {
  const { pages, heard, seqs: now } = await open(branch(...upTo(100)));
  assert.equal(await pages.reach("c", 1000), null);
  assert.deepEqual([now()[0], heard], [61, []]);
});

test("a branch that was left elsewhere gives way to the newest", async () => {
  const whole = branch(...upTo(200));
  const { pages, heard, seqs: now } = await open(whole);
  await pages.reach("c", 12);
  // The fifth message was edited on another device.
  whole.splice(4, 196, ...[201, 202].map((seq, place) => ({ messageId: `m${seq}`, seq, parentSeq: place ? 201 : 4, role: role(seq) })));
  assert.equal(await pages.loadNewer(), false);
  assert.deepEqual([now(), heard], [[1, 2, 3, 4, 201, 202], ["left"]]);
});

test("the list stands in the order in which it is paged", () => {
  const one = (conversationId, updatedAt, pinned = false) => ({ conversationId, updatedAt, pinned });
  const items = [one("a", "2026-01-02"), one("b", "2026-01-03"), one("c", "2026-01-03"), one("d", "2026-01-01", true)];
  assert.deepEqual(items.sort(newestFirst).map((item) => item.conversationId), ["d", "c", "b", "a"]);
});
