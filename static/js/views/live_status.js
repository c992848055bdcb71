// The line under an answer that is being written. It stays while its words change, so that its
// movement does not start over with each of them.

import { h } from "../dom.js";

export function createLiveStatus() {
  const words = h("span");
  const dots = h("span", { class: "status-dots", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
  const element = h("p", { class: "status" }, dots, words);

  function update({ kind, text }) {
    element.className = `status is-${kind}`;
    if (words.textContent !== text) words.textContent = text;
  }

  return { element, update };
}
