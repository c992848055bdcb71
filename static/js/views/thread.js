// The messages of the open conversation.

import { h, throttleToFrame } from "../dom.js";
import { firstAsSaid } from "./memory.js";
import { createMessage } from "./message.js";
import { createStickyScroll } from "./scroll.js";

/**
 * @param {object} elements {scroller, content, list, jump, top}
 * @param {object} deps     {store, act, loadOlder, memoryLine}
 */
export function createThread({ scroller, content, list, jump, top }, { store, act, loadOlder, memoryLine }) {
  const views = new Map();
  const scroll = createStickyScroll(scroller, content, jump);
  let drawnFor = null;
  let firstKey = null;
  // The key of a message to be shown once it is drawn; true while it is not known yet.
  let wanted = null;

  function drawMessages(messages, busy) {
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
        view = { ...createMessage(message, act), message: null, context: "" };
        views.set(message.key, view);
      }
      const last = index === messages.length - 1;
      const context = `${busy}${last}`;
      if (view.message !== message || view.context !== context) {
        view.update(message, { busy, last });
        Object.assign(view, { message, context });
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
    const { conversationId, messages, live, loading, olderCursor, summarySeq } = store.get();
    const opened = drawnFor !== conversationId;
    const older = !opened && firstKey !== null && messages[0]?.key !== firstKey && views.has(firstKey);
    const change = () => {
      drawMessages(messages, Boolean(live));
      drawMemoryLine(messages, summarySeq);
    };
    if (older) scroll.keepPlace(change);
    else change();
    top.hidden = !olderCursor;
    top.classList.toggle("is-loading", loading === "older");
    if (opened && messages.length && !wanted) scroll.jumpToEnd();
    if (messages.length || loading !== "loading") drawnFor = conversationId;
    firstKey = messages[0]?.key ?? null;
    if (views.has(wanted)) reveal(views.get(wanted).element);
    scroll.toEnd();
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

  new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && loadOlder(),
    { root: scroller, rootMargin: "600px 0px 0px" }).observe(top);

  const redraw = throttleToFrame(draw);
  store.watch(["messages", "live", "conversationId", "loading", "olderCursor", "summarySeq", "models"], redraw);

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
