// The open conversation: load, page back, send, regenerate.

import { createAnswering } from "./answering.js";
import { hasRecentText, localMessage, mergeNewest, mergeOlder } from "./messages.js";
import { uuid } from "./uuid.js";

const PAGE = 40;
const EMPTY = { conversationId: "", title: "", model: null, messages: [], olderCursor: null, live: null,
  loading: "ready", loadError: null };

/**
 * @param {object} deps
 * @param {object} deps.list  see conversations.js
 * @param {{restore: (text: string) => void, refuse: (error: object) => void,
 *          trouble: (error: object) => void, settled: (answer: object) => void}} deps.ui
 */
export function createChat({ api, store, waker, drafts, list, navigate, ui }) {
  const path = (id, rest = "") => `/conversations/${id}${rest}`;
  const isOpen = (id) => store.get().conversationId === id;
  // Each opening is a new visit; what an earlier one still fetches is dropped.
  let visit = 0;

  const answering = createAnswering({
    api, store, waker, reload,
    onTrouble: ui.trouble,
    onSettled(answer) {
      ui.settled(answer);
      list.refreshSoon(store.get().conversationId);
    },
  });

  function show(conversation) {
    const active = conversation.activeGeneration;
    store.set(({ messages }) => ({
      title: conversation.title,
      model: conversation.model,
      messages: mergeNewest(messages, conversation.messages),
      olderCursor: olderThan(messages, conversation),
      loading: "ready",
      loadError: null,
    }));
    if (active && !answering.isFollowing(active.generationId)) resume(active);
  }

  // Pages loaded before stay; only the first load says where older ones begin.
  function olderThan(shown, { messages, nextCursor }) {
    const keepsOlder = shown.some((one) => one.seq !== null && one.seq < (messages[0]?.seq ?? 0));
    return keepsOlder ? store.get().olderCursor : nextCursor;
  }

  function resume({ generationId, messageId }) {
    let target = store.get().messages.find((one) => one.messageId === messageId);
    if (!target) {
      target = localMessage(messageId, "assistant", "", { messageId, generationId });
      store.set(({ messages }) => ({ messages: [...messages, target] }));
    }
    return answering.follow({ key: target.key, generationId }).catch(ui.trouble);
  }

  async function reload() {
    const { conversationId } = store.get();
    if (!conversationId) return;
    const now = visit;
    const conversation = await api.get(path(conversationId, `?limit=${PAGE}`));
    if (now === visit) show(conversation);
  }

  /** Show a conversation; an empty id is a new chat. */
  async function open(conversationId) {
    const now = ++visit;
    answering.detach();
    store.set({ ...EMPTY, conversationId, loading: conversationId ? "loading" : "ready" });
    if (!conversationId) return;
    try {
      const conversation = await api.get(path(conversationId, `?limit=${PAGE}`));
      if (now !== visit) return;
      dropDeliveredDraft(conversation);
      show(conversation);
    } catch (error) {
      if (now === visit) store.set({ loading: "failed", loadError: error });
    }
  }

  // A message that was under way when the page was left may have arrived.
  function dropDeliveredDraft({ conversationId, messages }) {
    const { sent, text } = drafts.read(conversationId);
    if (!sent || !hasRecentText(messages, sent.text)) return;
    drafts.delivered(conversationId);
    if (!text) ui.restore("");
  }

  async function loadOlder() {
    const { conversationId, olderCursor, loading } = store.get();
    if (!olderCursor || loading !== "ready") return;
    store.set({ loading: "older" });
    try {
      const page = await api.get(path(conversationId, `?limit=${PAGE}&before=${olderCursor}`));
      if (!isOpen(conversationId)) return;
      store.set(({ messages }) => ({
        messages: mergeOlder(messages, page.messages),
        olderCursor: page.nextCursor,
      }));
    } catch (error) {
      ui.trouble(error);
    } finally {
      if (isOpen(conversationId)) store.set({ loading: "ready" });
    }
  }

  /** The id to send to, or null when the reader went elsewhere while a new one was made. */
  async function ensureConversation(now) {
    const { conversationId, model } = store.get();
    if (conversationId) return conversationId;
    const created = await api.post("/conversations", model ? { model } : {});
    drafts.move("", created.conversationId);
    if (now !== visit) {
      list.refresh(created.conversationId);
      return null;
    }
    store.set({ conversationId: created.conversationId, model: created.model });
    navigate(created.conversationId);
    return created.conversationId;
  }

  /** Send a text; when it is refused, it goes back to the composer with the reason. */
  async function send(text, { parentSeq } = {}) {
    if (store.get().live) return;
    const before = store.get();
    const now = visit;
    const draft = drafts.read(before.conversationId);
    const key = draft.sent?.text === text ? draft.sent.key : uuid();
    drafts.write(before.conversationId, { text: "", sent: { text, key } });
    const user = localMessage(uuid(), "user", text);
    const answer = localMessage(uuid(), "assistant", "");
    const kept = parentSeq === undefined ? before.messages
      : before.messages.filter((one) => one.seq !== null && one.seq <= parentSeq);
    store.set({
      live: { generationId: null, stopping: false },
      messages: [...kept, user, { ...answer, live: { answer: null, phase: "connecting" } }],
    });
    try {
      const id = await ensureConversation(now);
      if (!id) return;
      list.touch(id, text);
      const body = parentSeq === undefined ? { content: text } : { content: text, parentSeq };
      await answering.follow({
        key: answer.key,
        userKey: user.key,
        submit: { path: path(id, "/messages"), body, key },
        onAccepted: () => drafts.delivered(id),
      });
    } catch (error) {
      const { conversationId } = store.get();
      drafts.write(conversationId, { text, sent: error.status ? null : { text, key } });
      if (now !== visit) return;
      store.set({ live: null, messages: before.messages });
      ui.restore(text);
      refuse(error);
    }
  }

  /** Write another answer in place of `message` (also the retry of a failed one). */
  async function regenerate(message) {
    if (store.get().live || message.seq === null) return;
    const before = store.get();
    const now = visit;
    const answer = localMessage(uuid(), "assistant", "", { parentSeq: message.parentSeq });
    const kept = before.messages.filter((one) => one.seq === null || one.seq < message.seq);
    store.set({ live: { generationId: null, stopping: false }, messages: [...kept, answer] });
    const target = path(before.conversationId, `/messages/${message.seq}/regenerate`);
    try {
      await answering.follow({ key: answer.key, submit: { path: target, body: {}, key: uuid() } });
    } catch (error) {
      if (now !== visit) return;
      store.set({ live: null, messages: before.messages });
      refuse(error);
    }
  }

  function refuse(error) {
    ui.refuse(error);
    if (error.code === "generation_active") reload().catch(() => {});
  }

  return { open, reload, loadOlder, send, regenerate, stop: answering.stop,
    isFollowing: answering.isFollowing };
}
