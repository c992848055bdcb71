// Where help is, for somebody who may need it.

import { h } from "../dom.js";
import { createMarkdown } from "../markdown.js";

/** The policy's message as an element; null where there is none. */
export function drawSupport(text) {
  if (!text) return null;
  const element = h("div", { class: "support md" });
  createMarkdown(element).update(text, true);
  return element;
}
