// The open conversation: load, catch up with what happened elsewhere.

import { createAnswering } from "./answering.js";
import { hasRecentText, localMessage, mergePage } from "./messages.js";
import { createPages } from "./pages.js";
import { createSending } from "./sending.js";

const EMPTY = { conversationId: "", title: "", model: null, messages: [], olderCursor: null, newerCursor: null,
  summarySeq: null, live: null, loading: "ready", loadError: null };

/**
 * @param {object} deps
 * @param {object} deps.transports  see transports/choice.js
 * @param {object} deps.list        see conversations.js
 * @param {{restore: (text: string) => void, refuse: (error: object) => void,
 *          trouble: (error: object) => void, settled: (answer: object) => void,
 *          state: (state: object|null) => void, left: () => void}} deps.ui
 */
export function createChat({ api, transports, store, waker, drafts, list, navigate, ui }) {
  const path = (id, rest = "") => `/conversations/${id}${rest}`;
  // Each opening is a new visit; what an earlier one still fetches is dropped.
  let visit = 0;
  // An answer that began elsewhere while another one was being followed here.
  let begunElsewhere = null;
  // Something may have happened after the server read what is still on its way here.
  let lookAgain = false;

  const answering = createAnswering({
    api, transports, store, waker,
    // Away from the newest messages there is nothing of it on the page; it is fetched on the way back.
    reload: async () => { if (pages.isAtNewest()) await reload(); },
    onTrouble: ui.trouble,
    onState: ui.state,
    onSettled(answer) {
      ui.settled(answer);
      list.refreshSoon(store.get().conversationId);
      if (begunElsewhere && begunElsewhere !== answer.generationId) catchUp();
      begunElsewhere = null;
    },
  });

  const pages = createPages({
    api, store, show,
    onTrouble: ui.trouble,
    onLeft: ui.left,
    onNewest(page) {
      takeUp(page.activeGeneration);
      // What began after the server had read this page was no news here then.
      catchUp();
    },
  });

  const { send, regenerate } = createSending({
    api, store, drafts, list, navigate, answering, ui, reload, goToNewest: pages.goToNewest,
    visit: () => visit,
    onRefused(error) {
      ui.refuse(error);
      if (error.code === "generation_active") followActive(error.detail);
    },
  });

  /** Lay a page over what is shown: the newest, or one from elsewhere in the conversation. */
  function show(conversation) {
    store.set((before) => {
      const messages = mergePage(before.messages, conversation.messages);
      const keepsOlder = messages.length > conversation.messages.length;
      return {
        messages,
        title: conversation.title,
        model: conversation.model,
        summarySeq: conversation.summarySeq ?? null,
        olderCursor: keepsOlder ? before.olderCursor : conversation.nextCursor,
        newerCursor: conversation.newerCursor,
        loading: "ready",
        loadError: null,
      };
    });
    if (pages.isAtNewest()) takeUp(conversation.activeGeneration);
  }

  /** Follow an answer that is being written among the messages shown. */
  function takeUp(active) {
    if (active && !answering.isFollowing(active.generationId)) resume(active);
    else answering.redraw(active && store.get().messages.find((one) => one.messageId === active.messageId)?.key);
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
    if (now === visit && active?.generationId && !store.get().live && pages.isAtNewest()) resume(active);
  }

  const isNews = ({ messages }) => {
    const shown = store.get().messages.at(-1);
    return messages.at(-1)?.messageId !== shown?.messageId || shown?.status === "lost";
  };

  /** Show another version of a message, with what follows it. True when it is there. */
  async function showVersion(seq) {
    const { conversationId, live } = store.get();
    if (!conversationId || live) return false;
    const now = visit;
    try {
      await api.post(path(conversationId, `/messages/${seq}/show`));
      return now === visit && Boolean(await pages.reach(conversationId, seq));
    } catch (error) {
      if (now !== visit) return false;
      ui.trouble(error);
      if (error.code === "generation_active") followActive(error.detail);
      return false;
    }
  }

  async function reload() {
    const { conversationId } = store.get();
    if (!conversationId) return;
    await pages.reload();
  }

  /** Show a conversation, at one of its messages if need be; an empty id is a new chat. */
  async function open(conversationId, seq = 0) {
    const now = ++visit;
    begunElsewhere = null;
    lookAgain = false;
    answering.detach();
    store.set({ ...EMPTY, conversationId, loading: conversationId ? "loading" : "ready" });
    if (!conversationId) return;
    try {
      const conversation = await pages.first(conversationId, seq);
      if (now !== visit) return;
      if (conversation.newerCursor === null) dropDeliveredDraft(conversation);
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

  /** Look whether something happened here that no notice told of. */
  async function catchUp() {
    const { conversationId, live, loading, loadError } = store.get();
    lookAgain = loading === "loading";
    if (!conversationId || live || lookAgain) return;
    if (loading === "failed") {
      if (loadError.status !== 404) await open(conversationId);
      return;
    }
    // It comes with the newest messages, once the reader goes there.
    if (!pages.isAtNewest()) return;
    const now = visit;
    try {
      const page = await api.get(path(conversationId, "?limit=1"));
      if (now !== visit || store.get().live || !pages.isAtNewest()) return;
      if (page.activeGeneration || isNews(page)) await reload();
    } catch (error) {
      if (now !== visit) return;
      // The next look may do better; being signed out is for the reader to mend.
      if (error.status === 401) ui.trouble(error);
      // It was deleted, and nobody told this page.
      if (error.status === 404) store.set({ ...EMPTY, conversationId, loading: "failed", loadError: error });
    }
  }

  /** What is remembered may have changed, and which branch is shown: look where both end now. */
  async function lookAround() {
    const { conversationId, loading } = store.get();
    if (!conversationId || loading === "loading") return;
    const now = visit;
    const page = await api.get(path(conversationId, "?limit=1")).catch(() => null);
    if (!page || now !== visit) return;
    store.set({ summarySeq: page.summarySeq ?? null });
    if (!store.get().live && pages.isAtNewest() && isNews(page)) await reload().catch(() => {});
  }

  /** An answer began, here or elsewhere. */
  function onStarted(generationId) {
    if (answering.isFollowing(generationId)) return;
    if (store.get().live) begunElsewhere = generationId;
    else catchUp();
  }

  return {
    open, reload, send, regenerate, showVersion, catchUp, lookAround, onStarted,
    loadOlder: pages.loadOlder, loadNewer: pages.loadNewer, goToNewest: pages.goToNewest, reach: pages.reach,
    stop: answering.stop,
  };
}
