// Edit one's own message in place; sending branches the conversation there.

import { h } from "../dom.js";

/** @param {(text: string) => void} onSend */
export function editInPlace(message, element, onSend) {
  const area = h("textarea", { class: "edit-area", rows: "3", "aria-label": "Edit message", dir: "auto", on: { keydown } });
  area.value = message.content ?? "";
  const cancel = h("button", { type: "button", class: "button button-quiet button-small", text: "Cancel", on: { click: close } });
  const send = h("button", { type: "button", class: "button button-primary button-small", text: "Send", on: { click: submit } });
  const form = h("div", { class: "edit" }, area, h("div", { class: "edit-actions" }, cancel, send));

  function close() {
    element.classList.remove("is-editing");
    form.remove();
    element.querySelector(".message-actions button:not([hidden])")?.focus();
  }
  function submit() {
    const text = area.value.trim();
    if (!text) return;
    close();
    onSend(text);
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

  if (element.classList.contains("is-editing")) return;
  element.classList.add("is-editing");
  element.append(form);
  area.focus();
}
