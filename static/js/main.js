// Puts the chat page together.

import { announce } from "./announce.js";
import { ApiError, createApi } from "./api.js";
import { createBudgetRefresh } from "./budget.js";
import { createChat } from "./chat.js";
import { createChoices } from "./choices.js";
import { createConversations } from "./conversations.js";
import { byId } from "./dom.js";
import { createDrafts } from "./drafts.js";
import { explain } from "./errors.js";
import { CLOSE_FORBIDDEN, CLOSE_SIGNED_OUT } from "./frames.js";
import { listenForNotices } from "./notices.js";
import { createSearch } from "./search.js";
import { createStore } from "./store.js";
import { createTelling } from "./telling.js";
import { createChoice } from "./transports/choice.js";
import { createLookTransport } from "./transports/look.js";
import { createSocketTransport } from "./transports/socket.js";
import { createSseTransport } from "./transports/sse.js";
import { createArchivePanel } from "./views/archive.js";
import { createBanner } from "./views/banner.js";
import { createComposer } from "./views/composer.js";
import { ask } from "./views/dialog.js";
import { editInPlace } from "./views/edit.js";
import { createInstructionsPanel } from "./views/instructions.js";
import { createMemoryLine, createMemoryPanel } from "./views/memory.js";
import { createModelPicker, modelName } from "./views/models.js";
import { watchOffline } from "./views/offline.js";
import { createResults } from "./views/results.js";
import { createShell } from "./views/shell.js";
import { listenForShortcuts } from "./views/shortcuts.js";
import { createSidebar } from "./views/sidebar.js";
import { createPlaceholder, createThread } from "./views/thread.js";
import { createToasts } from "./views/toast.js";
import { createBudgetWarning, createUsage } from "./views/usage.js";
import { versionWords } from "./views/versions.js";
import { createWelcome } from "./views/welcome.js";
import { createWaker } from "./wake.js";

const page = byId("chat").dataset;
const csrfToken = document.querySelector('meta[name="csrf-token"]').content;

const api = createApi({ base: page.apiBase, csrfToken });
const store = createStore({
  conversationId: null, title: "", model: null, messages: [], olderCursor: null, newerCursor: null, summarySeq: null, live: null,
  loading: "ready", loadError: null,
  items: [], itemsCursor: null, listLoading: false, listError: null, found: null,
  models: [],
  reasons: {},
  budget: null,
});
const waker = createWaker();
const SIGNED_OUT = new ApiError({ code: "unauthenticated", message: "Sign in to go on.", status: 401 });
const drafts = createDrafts(window.sessionStorage);
const toast = createToasts(byId("toasts"));
const banner = createBanner(byId("banner"), { signInUrl: page.signInUrl });

const linkTo = (id, seq) => (id ? `/c/${id}/${seq ? `#m${seq}` : ""}` : "/");
const seqInHash = () => Number(/^#m(\d{1,9})$/.exec(location.hash)?.[1] ?? 0);
const idInPath = () => /^\/c\/([0-9a-f-]{36})\/?$/i.exec(location.pathname)?.[1] ?? "";
const socketUrl = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/chat/`;
const tell = createTelling(announce);
const refreshBudget = createBudgetRefresh({ api, store });

function trouble(error) {
  const { text, action, support } = explain(error);
  // What needs something done stands until it is done, and help until it was read.
  if (action || support) banner.show(error);
  else toast(text, { kind: "error" });
}

const conversations = createConversations({ api, store, onTrouble: trouble });
const chat = createChat({
  api, store, waker, drafts, list: conversations,
  transports: createChoice([
    createSseTransport({ api }), createSocketTransport({ url: socketUrl }), createLookTransport({ api }),
  ]),
  navigate: (id, { replaces = false } = {}) => history[replaces ? "replaceState" : "pushState"]({}, "", linkTo(id)),
  ui: {
    restore: (text) => (text ? composer.restore(text) : composer.clear()),
    refuse: sayRefusal,
    trouble,
    settled(answer) {
      sayEnd(answer);
      refreshBudget();
    },
    state: tell,
    left() {
      forgetPlace();
      thread.jumpToEnd();
      toast("What you were reading was changed elsewhere. These are the newest messages.");
    },
  },
});

const choices = createChoices({ api, store, onTrouble: trouble });

function sayRefusal(error) {
  banner.show(error);
  if (error.status === 402) refreshBudget();
}

function sayEnd(answer) {
  const text = answer.message?.content ?? answer.text;
  const words = {
    done: text.length <= 400 ? `Parley answered: ${text}` : "The answer is finished.",
    stopped: "Stopped.",
    halted: answer.notice || "The answer was withdrawn.",
    failed: `The answer failed. ${answer.error?.message ?? ""}`,
  };
  announce(words[answer.status] ?? "");
}

function go(id) {
  if (id !== store.get().conversationId) {
    history.pushState({}, "", linkTo(id));
    banner.hide();
    thread.jumpToEnd();
    chat.open(id);
  }
  shell.closeIfSmall();
  focusStart();
}

/** Open a conversation at one of its messages. */
async function goToMessage(id, seq) {
  if (!seq) {
    go(id);
    return;
  }
  shell.closeIfSmall();
  if (location.pathname + location.hash !== linkTo(id, seq)) history.pushState({}, "", linkTo(id, seq));
  await openAt(id, seq);
}

/** Show a conversation: at one of its messages, or at the newest. */
async function openAt(id, seq) {
  const isNew = id !== store.get().conversationId;
  if (seq) thread.awaitMessage();
  if (isNew) {
    banner.hide();
    if (!seq) thread.jumpToEnd();
    await chat.open(id, seq);
  }
  if (seq) await showMessage(id, seq, isNew);
  else if (!isNew && (await chat.goToNewest())) thread.jumpToEnd();
}

async function showMessage(id, seq, isNew) {
  // What could not be opened has said so.
  if (store.get().loading === "failed") {
    thread.forgetMessage();
    return;
  }
  const key = await chat.reach(id, seq);
  if (key) thread.showMessage(key);
  else if (store.get().conversationId === id) {
    if (isNew) thread.jumpToEnd();
    else thread.forgetMessage();
    if (store.get().loading === "ready") toast("This message is not here any more.");
  }
}

/** Go to the newest messages; the address does not name an older one any more. */
async function goToNewest() {
  const isThere = await chat.goToNewest();
  if (isThere) forgetPlace();
  return isThere;
}

function forgetPlace() {
  if (seqInHash()) history.replaceState({}, "", linkTo(store.get().conversationId));
}

// On a phone the keyboard would cover what was just opened.
function focusStart() {
  if (window.matchMedia("(hover: hover)").matches) composer.focus();
  else byId("thread").focus({ preventScroll: true });
}

function send(text, options) {
  banner.hide();
  chat.send(text, options);
  forgetPlace();
  thread.jumpToEnd();
}

const composer = createComposer(byId("composer"), {
  store, drafts, onSend: send, onStop: chat.stop,
});

const openInstructions = createInstructionsPanel({
  api, onSaved: () => toast("Saved. It counts from the next question on."),
});
byId("instructions").addEventListener("click", () => {
  byId("account").open = false;
  openInstructions();
});

const openArchive = createArchivePanel({
  api, linkTo, open: go,
  bringBack: (id) => conversations.change(id, { archived: false }),
});
byId("archive").addEventListener("click", () => {
  byId("account").open = false;
  openArchive();
});

byId("delete-account").addEventListener("click", async () => {
  byId("account").open = false;
  const email = page.userEmail;
  const sure = await ask({
    title: "Delete your account?", danger: true, confirm: "Delete everything", expected: email,
    text: "Your account and all conversations are erased at once, for good. Export them first if you want to keep them.",
    field: `Type ${email} to confirm`,
  });
  if (sure === null) return;
  try {
    await api.delete("/me");
    // What was typed and not sent.
    sessionStorage.clear();
    location.assign(page.signInUrl);
  } catch (error) {
    banner.show(error);
  }
});

const openMemory = createMemoryPanel({
  api,
  onSaved() {
    toast("Saved. It counts from the next question on.");
    chat.lookAround();
  },
});
const showMemory = () => openMemory(store.get().conversationId);
byId("memory").addEventListener("click", showMemory);
store.watch(["conversationId", "loading"], ({ conversationId, loading }) => {
  byId("memory").hidden = !conversationId || loading === "failed";
});

const thread = createThread(
  { scroller: byId("thread"), content: byId("thread-content"), list: byId("messages"), jump: byId("jump"), top: byId("older"),
    bottom: byId("newer") },
  {
    store, goToNewest,
    loadOlder: chat.loadOlder,
    loadNewer: chat.loadNewer,
    memoryLine: createMemoryLine(showMemory),
    act: {
      say: announce,
      modelName: (name) => modelName(store.get().models, name),
      reasonText: (reason) => store.get().reasons[reason] ?? "",
      regenerate(message) {
        banner.hide();
        chat.regenerate(message);
        thread.jumpToEnd();
      },
      async showVersion(message, step, seq) {
        banner.hide();
        thread.holdPlace(message, { step, seq });
        if (!(await chat.showVersion(seq))) thread.dropPlace();
        else announce(`Version ${versionWords(message.siblings, seq)}`);
      },
      edit(message, element, typed) {
        const putBack = (text) => thread.editAgain(message, text, composer.restore);
        const { parentSeq } = message;
        editInPlace(message, element, { store, text: typed, send: (text) => send(text, { parentSeq, putBack }) });
      },
      async rate(message, rating) {
        if (!(await choices.rate(message, rating)) || rating !== "down") return;
        const comment = await ask({ title: "What went wrong?", text: "Your note helps to improve the answers.",
          field: "Note (optional)", confirm: "Send" });
        if (comment) choices.rate(message, rating, comment);
      },
    },
  },
);

createPlaceholder(byId("placeholder"), {
  store, retry: () => chat.open(store.get().conversationId), newChat: () => go(""),
});
createWelcome(byId("welcome"), {
  store,
  choose(prompt) {
    composer.setText(prompt);
    composer.focus();
  },
});
createModelPicker(byId("model"), { store, onChoose: choices.setModel });
createUsage(byId("usage"), { store, details: byId("account"), refresh: refreshBudget });
createBudgetWarning(byId("budget-warning"), { store });

const shell = createShell({
  sidebar: byId("sidebar"), main: byId("main"), backdrop: byId("backdrop"),
  openers: [byId("open-panel")], closers: [byId("close-panel")],
});

createSidebar(
  { list: byId("conversations"), status: byId("list-status"), more: byId("list-more"), scroller: byId("list-scroll") },
  {
    store, conversations,
    act: {
      linkTo, open: go,
      rename: (item, title) => conversations.change(item.conversationId, { title }),
      pin: (item, pinned) => conversations.change(item.conversationId, { pinned }),
      async archive({ conversationId }) {
        const worked = await conversations.change(conversationId, { archived: true });
        if (worked) toast("Archived. The account menu has it.");
      },
      async remove(item) {
        const sure = await ask({ title: "Delete this conversation?", danger: true, confirm: "Delete",
          text: `“${item.title || "New chat"}” and all its messages will be gone for good.` });
        if (sure === null) return;
        if (!(await conversations.remove(item.conversationId))) return;
        toast("Conversation deleted");
        if (store.get().conversationId === item.conversationId) go("");
      },
    },
  },
);

createResults(
  { input: byId("search"), list: byId("results"), status: byId("results-status"), more: byId("results-more"), scroller: byId("list-scroll") },
  { store, searching: createSearch({ api, store }), open: goToMessage, linkTo, say: announce },
);

for (const link of document.querySelectorAll("[data-new-chat]")) {
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go("");
  });
}

store.watch(["title", "conversationId"], ({ title, conversationId }) => {
  byId("title").textContent = conversationId ? title || "New chat" : "";
  byId("title").hidden = !conversationId;
  document.title = conversationId && title ? `${title} · Parley` : "Parley";
});

window.addEventListener("popstate", () => openAt(idInPath(), seqInHash()));

listenForShortcuts({
  stop: () => {
    if (byId("account").open) byId("account").open = false;
    else if (shell.isCovering()) shell.close();
    else if (store.get().live) chat.stop();
  },
  search() {
    shell.open();
    byId("search").focus();
  },
  newChat: () => go(""),
});

document.addEventListener("click", ({ target }) => {
  const account = byId("account");
  if (account.open && !account.contains(target)) account.open = false;
});

// Without the list nobody could choose a model, nor read why one was chosen: it is asked for until it comes.
function loadModels(waitMs = 1000) {
  const again = () => setTimeout(() => store.get().models.length || loadModels(Math.min(2 * waitMs, 60_000)), waitMs);
  api.get("/models").then(({ items, reasons = {} }) => store.set({ models: items, reasons }), again);
}

// The way is free again for the message that had to wait.
store.watch(["live"], ({ live }) => live || banner.hideIf("generation_active"));

function onNotice({ type, conversationId, generationId }) {
  const here = conversationId === store.get().conversationId;
  if (type === "conversation.deleted") {
    conversations.forget(conversationId);
    if (here && !conversations.wasRemovedHere(conversationId)) {
      go("");
      toast("This conversation was deleted on another device");
    }
  } else if (type === "conversation.updated") {
    conversations.refresh(conversationId);
    if (here) chat.lookAround();
  } else if (type === "generation.started") {
    if (here) chat.onStarted(generationId);
    conversations.refresh(conversationId);
  }
}

/** Whoever is suspended gets a page of its own in place of this one. */
async function showSuspension() {
  const { standing } = await api.get("/me");
  if (standing.suspension) location.reload();
}

for (const line of document.querySelectorAll("#flash li")) toast(line.textContent);
const first = page.conversationId || idInPath();
openAt(first, first && seqInHash());
conversations.load();
loadModels();
refreshBudget();
listenForNotices({
  url: socketUrl, onNotice, waker,
  onGap({ first }) {
    chat.catchUp();
    // On the first occasion all of this has only just been fetched.
    if (first) return;
    conversations.sync().then((worked) => worked && banner.hideIf("unauthenticated"));
    if (!store.get().models.length) loadModels();
  },
  onRefused(code) {
    if (code === CLOSE_SIGNED_OUT) banner.show(SIGNED_OUT);
    if (code === CLOSE_FORBIDDEN) showSuspension();
  },
});
waker.listen({ onOnline: chat.catchUp, onVisible: chat.catchUp });
watchOffline(byId("offline"), { waker });
focusStart();
