// Sending a message and asking for another answer: shown at once, and taken back when refused.

import { ApiError } from "./api.js";
import { localMessage } from "./messages.js";
import { uuid } from "./uuid.js";

const isSameRequest = (sent, text, parentSeq) =>
  sent?.text === text && (sent.parentSeq ?? null) === (parentSeq ?? null);

// 4xx: nothing was kept. Of anything else nobody knows, so the same text keeps its key.
const wasRefused = ({ status }) => status >= 400 && status < 500;

// Refusals of the message itself. With others, such as a suspension, a conversation cannot be taken away either.
const REFUSALS = new Set(["message_refused", "message_too_long", "rate_limited", "budget_exhausted"]);

/**
 * @param {object} deps
 * @param {() => number} deps.visit   changes whenever another conversation is opened
 * @param {{restore: (text: string) => void, refuse: (error: object) => void}} deps.ui
 */
export function createSending({ api, store, drafts, list, navigate, answering, visit, reload, goToNewest, onRefused, ui }) {
  const path = (id, rest) => `/conversations/${id}${rest}`;
  const stretchOf = ({ messages, olderCursor, newerCursor }) => ({ messages, olderCursor, newerCursor });
  const CONNECTING = { answer: null, state: { kind: "connecting", text: "Connecting…" } };

  /** Go to where a message will stand. False when that cannot be shown, or an answer is under way there. */
  async function goToEnd(text) {
    const now = visit();
    store.set({ live: { generationId: null, stopping: false } });
    const isThere = await goToNewest();
    if (now !== visit()) return false;
    const isFree = !store.get().live?.generationId;
    if (isFree) store.set({ live: null });
    if (isThere && isFree) return true;
    ui.restore(text);
    if (isThere) {
      ui.refuse(new ApiError({ code: "generation_active", message: "An answer is still being written here.", status: 409 }));
    }
    return false;
  }

  /** What was said in the place of a message before is known to the server only. */
  const countVersions = (now) => now === visit() && !store.get().live && reload().catch(() => {});

  /** Take back what a refused request had put on the page, unless the reader looks elsewhere by now. */
  function takeBack(before, { key }) {
    const isShown = store.get().messages.some((one) => one.key === key);
    store.set({ live: null, ...(isShown && stretchOf(before)) });
  }

  /** The id to send to, or null when the reader went elsewhere while a new one was made. */
  async function ensureConversation(now, key) {
    const { conversationId, model } = store.get();
    if (conversationId) return conversationId;
    // The message's own key: a try whose answer was lost made this conversation already.
    const create = (once) => api.post("/conversations", model ? { model } : {}, { headers: { "idempotency-key": once } });
    let created;
    try {
      created = await create(key);
    } catch (error) {
      if (error.code !== "idempotency_mismatch") throw error;
      // Another model was chosen since.
      created = await create(uuid());
    }
    drafts.move("", created.conversationId);
    if (now !== visit()) {
      list.refresh(created.conversationId);
      return null;
    }
    store.set({ conversationId: created.conversationId, model: created.model });
    navigate(created.conversationId);
    return created.conversationId;
  }

  /** Take away a conversation that was made for a message that was refused; nothing stands in it. */
  function discard(id, now, { model }) {
    drafts.move(id, "");
    if (now === visit()) {
      store.set({ conversationId: "", title: "", model });
      navigate("", { replaces: true });
    }
    list.remove(id);
  }

  const followSent = ({ id, text, parentSeq, key, user, answer }) => {
    const body = parentSeq === undefined ? { content: text } : { content: text, parentSeq };
    return answering.follow({
      key: answer.key,
      userKey: user.key,
      submit: { path: path(id, "/messages"), body, key, frame: { type: "send", conversationId: id, ...body } },
      onAccepted: () => drafts.delivered(id),
    });
  };

  /** Send a text; when it is refused, it goes back to where it was written, with the reason. */
  async function send(text, { parentSeq, putBack } = {}) {
    if (store.get().live) return;
    if (parentSeq === undefined && store.get().newerCursor !== null && !(await goToEnd(text))) return;
    const before = store.get();
    const now = visit();
    const isEdit = parentSeq !== undefined;
    const { text: typed, sent } = drafts.read(before.conversationId);
    let key = isSameRequest(sent, text, parentSeq) ? sent.key : uuid();
    const remember = (id) => drafts.write(id, { text: drafts.read(id).text, sent: { text, parentSeq, key } });
    drafts.write(before.conversationId, { text: isEdit ? typed : "", sent: { text, parentSeq, key } });
    const kept = !isEdit ? before.messages
      : before.messages.filter((one) => one.seq !== null && one.seq <= parentSeq);
    // Nobody tells later what it follows, and an edit of it has to follow the same.
    const user = localMessage(uuid(), "user", text, { parentSeq: kept.at(-1)?.seq ?? null });
    const answer = localMessage(uuid(), "assistant", "");
    store.set({
      live: { generationId: null, stopping: false },
      messages: [...kept, user, { ...answer, live: CONNECTING }],
      // An edit ends here: what followed is on another branch.
      newerCursor: null,
      olderCursor: parentSeq === null ? null : before.olderCursor,
    });
    let id = before.conversationId;
    try {
      id = await ensureConversation(now, key);
      if (!id) return;
      list.touch(id, text);
      try {
        await followSent({ id, text, parentSeq, key, user, answer });
      } catch (error) {
        if (error.code !== "idempotency_mismatch") throw error;
        // Something else was sent under this key; this text was not, so it gets a key of its own.
        key = uuid();
        remember(id);
        await followSent({ id, text, parentSeq, key, user, answer });
      }
      if (isEdit) countVersions(now);
    } catch (error) {
      const isEmpty = Boolean(id) && !before.conversationId && REFUSALS.has(error.code);
      // Something new that was begun meanwhile is not written over.
      if (isEmpty && (now === visit() || !drafts.read("").text)) {
        discard(id, now, before);
        id = "";
      }
      // Where the page has to be loaded anew, or is another one by now, an edit is kept as a draft.
      const staysOpen = isEdit && now === visit() && REFUSALS.has(error.code);
      const unsent = staysOpen ? "" : text;
      const draft = isEdit ? [unsent, drafts.read(id).text].filter(Boolean).join("\n\n") : text;
      drafts.write(id, { text: draft, sent: wasRefused(error) ? null : { text, parentSeq, key } });
      if (error.code === "conversation_not_found") list.forget(id);
      if (now !== visit()) return;
      takeBack(before, user);
      (staysOpen ? putBack : ui.restore)(text);
      onRefused(error);
    }
  }

  /** Write another answer in place of `message` (also the retry of a failed one). */
  async function regenerate(message) {
    if (store.get().live || message.seq === null) return;
    const before = store.get();
    const now = visit();
    const answer = localMessage(uuid(), "assistant", "", { parentSeq: message.parentSeq });
    const kept = before.messages.filter((one) => one.seq === null || one.seq < message.seq);
    store.set({ live: { generationId: null, stopping: false }, messages: [...kept, answer] });
    const id = before.conversationId;
    const submit = {
      path: path(id, `/messages/${message.seq}/regenerate`), body: {}, key: uuid(),
      frame: { type: "regenerate", conversationId: id, seq: message.seq },
    };
    try {
      await answering.follow({ key: answer.key, submit });
      countVersions(now);
    } catch (error) {
      if (now !== visit()) return;
      takeBack(before, answer);
      onRefused(error);
    }
  }

  return { send, regenerate };
}
