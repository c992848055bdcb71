// The open conversation: load, page back, catch up with what happened elsewhere.

import { createAnswering } from "./answering.js";
import { hasRecentText, localMessage, mergeNewest, mergeOlder } from "./messages.js";
import { createSending } from "./sending.js";

const PAGE = 40;
// How far back a message is looked for, in pages of the most that one request gives.
const REACH_PAGES = 10;
const REACH_PAGE = 100;
const EMPTY = { conversationId: "", title: "", model: null, messages: [], olderCursor: null, summarySeq: null,
  live: null, loading: "ready", loadError: null };

/**
 * @param {object} deps
 * @param {object} deps.transports  see transports/choice.js
 * @param {object} deps.list        see conversations.js
 * @param {{restore: (text: string) => void, refuse: (error: object) => void,
 *          trouble: (error: object) => void, settled: (answer: object) => void,
 *          state: (state: object|null) => void}} deps.ui
 */
export function createChat({ api, transports, store, waker, drafts, list, navigate, ui }) {
  const path = (id, rest = "") => `/conversations/${id}${rest}`;
  const isOpen = (id) => store.get().conversationId === id;
  // Each opening is a new visit; what an earlier one still fetches is dropped.
  let visit = 0;
  // An answer that began elsewhere while another one was being followed here.
  let begunElsewhere = null;
  // Something may have happened after the server read what is still on its way here.
  let lookAgain = false;

  const answering = createAnswering({
    api, transports, store, waker, reload,
    onTrouble: ui.trouble,
    onState: ui.state,
    onSettled(answer) {
      ui.settled(answer);
      list.refreshSoon(store.get().conversationId);
      if (begunElsewhere && begunElsewhere !== answer.generationId) catchUp();
      begunElsewhere = null;
    },
  });

  const { send, regenerate } = createSending({
    api, store, drafts, list, navigate, answering, ui,
    visit: () => visit,
    onRefused(error) {
      ui.refuse(error);
      if (error.code === "generation_active") followActive(error.detail);
    },
  });

  function show(conversation) {
    const active = conversation.activeGeneration;
    store.set(({ messages }) => ({
      title: conversation.title,
      model: conversation.model,
      messages: mergeNewest(messages, conversation.messages),
      summarySeq: conversation.summarySeq ?? null,
      olderCursor: olderThan(messages, conversation),
      loading: "ready",
      loadError: null,
    }));
    if (active && !answering.isFollowing(active.generationId)) resume(active);
    else answering.redraw();
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

  /** Follow the answer that stood in the way, with the messages around it if they can be had. */
  async function followActive(active) {
    const now = visit;
    await reload().catch(() => {});
    if (now === visit && active?.generationId && !store.get().live) resume(active);
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
    begunElsewhere = null;
    lookAgain = false;
    answering.detach();
    store.set({ ...EMPTY, conversationId, loading: conversationId ? "loading" : "ready" });
    if (!conversationId) return;
    try {
      const conversation = await api.get(path(conversationId, `?limit=${PAGE}`));
      if (now !== visit) return;
      dropDeliveredDraft(conversation);
      show(conversation);
      if (lookAgain) catchUp();
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

  async function loadOlder(limit = PAGE) {
    const { conversationId, olderCursor, loading } = store.get();
    if (!olderCursor || loading !== "ready") return;
    store.set({ loading: "older" });
    try {
      const page = await api.get(path(conversationId, `?limit=${limit}&before=${olderCursor}`));
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

  /** Load back to a message of the open conversation; its key, or null when it is not to be had. */
  async function reach(conversationId, seq) {
    for (let pages = 0; ; pages += 1) {
      if (!isOpen(conversationId)) return null;
      const { messages, olderCursor, loading } = store.get();
      const message = messages.find((one) => one.seq === seq);
      if (message) return message.key;
      if (loading !== "ready" || !olderCursor || pages === REACH_PAGES || (messages[0]?.seq ?? 0) < seq) return null;
      await loadOlder(REACH_PAGE);
    }
  }

  /** Look whether something happened here that no notice told of. */
  async function catchUp() {
    const { conversationId, live, loading, loadError } = store.get();
    lookAgain = loading === "loading";
    if (!conversationId || live || lookAgain) return;
    if (loading === "failed") {
      if (loadError.status !== 404) await open(conversationId);
      return;
    }
    const now = visit;
    try {
      const { activeGeneration, messages } = await api.get(path(conversationId, "?limit=1"));
      if (now !== visit || store.get().live) return;
      const shown = store.get().messages.at(-1);
      const isNews = messages.at(-1)?.messageId !== shown?.messageId || shown?.status === "lost";
      if (activeGeneration || isNews) await reload();
    } catch (error) {
      if (now !== visit) return;
      // The next look may do better; being signed out is for the reader to mend.
      if (error.status === 401) ui.trouble(error);
      // It was deleted, and nobody told this page.
      if (error.status === 404) store.set({ ...EMPTY, conversationId, loading: "failed", loadError: error });
    }
  }

  /** What is remembered may have changed: look where it ends now. */
  async function lookAtMemory() {
    const { conversationId, loading } = store.get();
    if (!conversationId || loading === "loading") return;
    const now = visit;
    const page = await api.get(path(conversationId, "?limit=1")).catch(() => null);
    if (page && now === visit) store.set({ summarySeq: page.summarySeq ?? null });
  }

  /** An answer began, here or elsewhere. */
  function onStarted(generationId) {
    if (answering.isFollowing(generationId)) return;
    if (store.get().live) begunElsewhere = generationId;
    else catchUp();
  }

  return {
    open, reload, loadOlder: () => loadOlder(), reach, send, regenerate, catchUp, lookAtMemory, onStarted,
    stop: answering.stop,
  };
}
