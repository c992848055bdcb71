// Edit one's own message in place; sending branches the conversation there.

import { h } from "../dom.js";
import { describeLength } from "../length.js";

/**
 * Nothing can be sent while an answer is under way: what was typed stays here until then.
 * @param {{store: object, send: (text: string) => void, text?: string}} deps  `text` is what was typed before
 */
export function editInPlace(message, element, { store, send, text = message.content ?? "" }) {
  if (element.classList.contains("is-editing")) return;
  const area = h("textarea", { class: "edit-area", rows: "3", "aria-label": "Edit message", dir: "auto", on: { keydown, input: refresh } });
  area.value = text;
  const counter = h("span", { class: "counter" });
  const cancel = h("button", { type: "button", class: "button button-quiet button-small", text: "Cancel", on: { click: close } });
  const accept = h("button", { type: "button", class: "button button-primary button-small", text: "Send", on: { click: submit } });
  const form = h("div", { class: "edit" }, area, h("div", { class: "edit-actions" }, counter, cancel, accept));

  function refresh() {
    const { isOver, words } = describeLength(area.value);
    counter.textContent = words;
    counter.classList.toggle("is-over", isOver);
    accept.disabled = !area.value.trim() || isOver || Boolean(store.get().live);
  }
  function close() {
    stopWatching();
    element.classList.remove("is-editing");
    form.remove();
    element.querySelector(".message-actions button:not([hidden])")?.focus();
  }
  function submit() {
    if (accept.disabled) return;
    const text = area.value.trim();
    close();
    send(text);
  }
  function keydown(event) {
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    }
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
  }

  element.classList.add("is-editing");
  element.append(form);
  const stopWatching = store.watch(["live"], refresh);
  area.focus();
}
