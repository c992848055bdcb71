// Where the reader writes.

import { describeLength } from "../length.js";

/**
 * @param {HTMLFormElement} form
 * @param {object} deps {store, drafts, onSend, onStop}
 */
export function createComposer(form, { store, drafts, onSend, onStop }) {
  const area = form.querySelector("textarea");
  const send = form.querySelector("[data-send]");
  const stop = form.querySelector("[data-stop]");
  const counter = form.querySelector("[data-counter]");
  let shownFor = null;
  let sendWhenLoaded = false;

  const fitByHand = !CSS.supports("field-sizing", "content");

  function refresh() {
    const { live } = store.get();
    const { isOver, words } = describeLength(area.value);
    counter.hidden = !words;
    counter.textContent = words;
    counter.classList.toggle("is-over", isOver);
    send.disabled = !area.value.trim() || isOver;
    send.hidden = Boolean(live);
    stop.hidden = !live;
    stop.disabled = Boolean(live?.stopping);
    if (fitByHand) {
      area.style.height = "auto";
      area.style.height = `${area.scrollHeight}px`;
    }
  }

  function setText(text) {
    area.value = text;
    refresh();
  }

  /** Put a text back, in front of what was typed since. */
  function restore(text) {
    const typed = area.value.trim();
    setText(typed && text && typed !== text ? `${text}\n\n${area.value}` : text || area.value);
    saveDraft();
  }

  function saveDraft() {
    const { conversationId } = store.get();
    drafts.write(conversationId, { ...drafts.read(conversationId), text: area.value });
  }

  function submit() {
    const text = area.value.trim();
    const { live, loading } = store.get();
    // Asked for while the conversation is still being fetched: it is sent as soon as that is here.
    sendWhenLoaded = loading === "loading";
    if (!text || live || sendWhenLoaded || describeLength(text).isOver) return;
    setText("");
    onSend(text);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  stop.addEventListener("click", onStop);
  area.addEventListener("input", () => {
    refresh();
    saveDraft();
  });
  area.addEventListener("keydown", (event) => {
    // While an input method is composing, Enter chooses a word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });

  store.watch(["live"], refresh);
  store.watch(["loading"], ({ loading }) => {
    if (sendWhenLoaded && loading === "ready") submit();
  });
  store.watch(["conversationId"], ({ conversationId }) => {
    if (conversationId === null) return;
    sendWhenLoaded = false;
    const before = shownFor;
    shownFor = conversationId;
    const { text, sent } = drafts.read(conversationId);
    // A new chat that just got its id keeps what is being typed.
    if (before === "" && sent) return;
    const draft = text || sent?.text || "";
    // What was typed before this script ran is there to stay.
    if (before === null && area.value.trim()) restore(draft);
    else setText(draft);
  });

  return {
    restore,
    setText(text) {
      setText(text);
      saveDraft();
    },
    clear() {
      setText("");
      saveDraft();
    },
    focus: () => area.focus({ preventScroll: true }),
  };
}
