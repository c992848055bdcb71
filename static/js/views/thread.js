// The messages of the open conversation.

import { h, throttleToFrame } from "../dom.js";
import { firstAsSaid } from "./memory.js";
import { createMessage } from "./message.js";
import { createStickyScroll } from "./scroll.js";

// More is fetched when so little is left to scroll.
const NEAR_EDGE_PX = 600;
// After a failure the reader has to scroll again, and not at once.
const PAUSE_MS = 3_000;

/**
 * @param {object} elements {scroller, content, list, jump, top, bottom}
 * @param {object} deps
 * @param {() => Promise<boolean>} deps.loadOlder   true when something came; so is loadNewer
 * @param {() => Promise<boolean>} deps.goToNewest  true when the newest messages are shown
 */
export function createThread({ scroller, content, list, jump, top, bottom },
  { store, act, loadOlder, loadNewer, goToNewest, memoryLine }) {
  const views = new Map();
  const scroll = createStickyScroll(scroller, content, jump, {
    hasEnd: () => store.get().newerCursor === null,
    isEmpty: () => !store.get().messages.length,
    async onJump() {
      if (!(await goToNewest())) return;
      wanted = null;
      scroll.jumpToEnd();
    },
  });
  let drawnFor = null;
  let firstKey = null;
  // The key of a message to be shown once it is drawn; true while it is not known yet.
  let wanted = null;
  // Which version of a message is to appear where another one stood.
  let held = null;
  // An edit that was refused, to be gone on with once its message is drawn again.
  let unsent = null;
  let pausedUntil = 0;

  function drawMessages(messages, { busy, hasEnd, models }) {
    const keys = new Set(messages.map((one) => one.key));
    for (const [key, view] of views) {
      if (keys.has(key)) continue;
      view.element.remove();
      views.delete(key);
    }
    let place = list.firstElementChild;
    messages.forEach((message, index) => {
      if (place === memoryLine) place = place.nextElementSibling;
      let view = views.get(message.key);
      if (!view) {
        view = { ...createMessage(message, act), message: null, context: "", models: null };
        views.set(message.key, view);
      }
      const last = hasEnd && index === messages.length - 1;
      const context = `${busy}${last}`;
      // The list of models, which names what answered and says why, may come after the messages.
      if (view.message !== message || view.context !== context || view.models !== models) {
        view.update(message, { busy, last });
        Object.assign(view, { message, context, models });
      }
      if (view.element === place) place = place.nextElementSibling;
      else list.insertBefore(view.element, place);
    });
  }

  function drawMemoryLine(messages, summarySeq) {
    const first = firstAsSaid(messages, summarySeq);
    const after = first && views.get(first.key).element;
    if (!after) memoryLine.remove();
    else if (memoryLine.nextElementSibling !== after) list.insertBefore(memoryLine, after);
  }

  function draw() {
    const { conversationId, messages, live, loading, olderCursor, newerCursor, summarySeq, models } = store.get();
    const opened = drawnFor !== conversationId;
    const grewAbove = !opened && messages[0]?.key !== firstKey && messages.some(({ key }) => key === firstKey);
    const change = () => {
      drawMessages(messages, { busy: Boolean(live), hasEnd: newerCursor === null, models });
      drawMemoryLine(messages, summarySeq);
      top.hidden = !olderCursor;
      bottom.hidden = !newerCursor;
    };
    if (grewAbove) scroll.keepPlace(change, views.get(firstKey).element);
    else change();
    top.classList.toggle("is-loading", loading === "older");
    bottom.classList.toggle("is-loading", loading === "newer");
    if (opened && messages.length && !wanted) scroll.jumpToEnd();
    if (messages.length || loading !== "loading") drawnFor = conversationId;
    firstKey = messages[0]?.key ?? null;
    if (views.has(wanted)) reveal(views.get(wanted).element);
    takePlace(messages);
    openUnsent();
    scroll.refresh();
    scroll.toEnd();
    fetchMore();
  }

  /** Put a version where the one before it stood, with the focus on the way to the next. */
  function takePlace(messages) {
    const key = held && messages.find(({ seq }) => seq === held.seq)?.key;
    if (!key) return;
    const { element, focusVersions } = views.get(key);
    scroller.scrollTop += element.getBoundingClientRect().top - held.top;
    scroll.look();
    focusVersions(held.step);
    held = null;
  }

  function openUnsent() {
    if (!unsent) return;
    const { key, text, otherwise } = unsent;
    unsent = null;
    const view = views.get(key);
    if (!view) {
      otherwise(text);
      return;
    }
    // It may lie far above; the focus goes there.
    scroll.leaveEnd();
    act.edit(view.message, view.element, text);
    scroll.look();
  }

  /** Fetch what comes next where the reader is about to arrive. */
  async function fetchMore() {
    const { loading, olderCursor, newerCursor, messages } = store.get();
    if (wanted || loading !== "ready" || !messages.length || performance.now() < pausedUntil) return;
    const { above, below } = scroll.room();
    let load = null;
    if (olderCursor && above < NEAR_EDGE_PX) load = loadOlder;
    else if (newerCursor && below < NEAR_EDGE_PX) load = loadNewer;
    if (load && !(await load())) pausedUntil = performance.now() + PAUSE_MS;
  }

  function reveal(element) {
    wanted = null;
    scroll.leaveEnd();
    element.scrollIntoView({ block: element.offsetHeight > scroller.clientHeight ? "start" : "center" });
    element.tabIndex = -1;
    element.focus({ preventScroll: true });
    // Taken away first, so that the same message can be shown twice.
    element.classList.remove("is-found");
    requestAnimationFrame(() => element.classList.add("is-found"));
  }

  scroller.addEventListener("scroll", throttleToFrame(fetchMore), { passive: true });

  const redraw = throttleToFrame(draw);
  store.watch(["messages", "live", "conversationId", "loading", "olderCursor", "newerCursor", "summarySeq", "models"],
    redraw);

  return {
    jumpToEnd() {
      wanted = null;
      scroll.jumpToEnd();
    },
    /** A message is about to be shown: do not go to the end meanwhile. */
    awaitMessage() {
      wanted = true;
      scroll.leaveEnd();
    },
    /** Another version of a message is about to take its place; `step` says in which direction. */
    holdPlace({ key }, { step, seq }) {
      held = { step, seq, top: views.get(key).element.getBoundingClientRect().top };
      scroll.leaveEnd();
    },
    dropPlace() {
      held = null;
      scroll.look();
    },
    /** It cannot be shown: stay where the page is. */
    forgetMessage() {
      wanted = null;
      scroll.look();
    },
    /** Go on with an edit that was refused; `otherwise` has the text when its message is gone. */
    editAgain({ key }, text, otherwise) {
      unsent = { key, text, otherwise };
      redraw();
    },
    showMessage(key) {
      wanted = key;
      redraw();
    },
  };
}

/** What stands in the place of messages while there are none: loading, or why there are none. */
export function createPlaceholder(element, { store, retry, newChat }) {
  const skeleton = () => h("div", { class: "skeleton", "aria-hidden": "true" },
    ...["short", "long", "mid"].map((size) => h("i", { class: size })));

  const failed = (error) => {
    const missing = error.status === 404;
    const title = missing ? "This conversation is not here" : "The conversation could not be loaded";
    const text = missing ? "It may have been deleted, or it belongs to another account." : error.message;
    const button = h("button", { type: "button", class: "button", text: missing ? "Start a new chat" : "Try again",
      on: { click: missing ? newChat : retry } });
    return h("div", { class: "empty-note" }, h("h2", { text: title }), h("p", { text }), button);
  };

  store.watch(["loading", "loadError"], ({ loading, loadError }) => {
    const shown = loading === "loading" ? [skeleton()] : loading === "failed" ? [failed(loadError)] : [];
    element.replaceChildren(...shown);
    element.hidden = shown.length === 0;
  });
}
