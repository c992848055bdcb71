// Code blocks: language name, copy button, highlighting once the block is complete.

import hljs from "../../vendor/highlight/highlight.min.js";
import { announce } from "../announce.js";
import { copyText, flashDone, h, icon } from "../dom.js";
import { codeLanguage, isClosedFence } from "./blocks.js";
import { sanitizeHighlight } from "./sanitize.js";

// Highlighting is linear but slow; a page of code is worth it, a data dump is not.
const MAX_HIGHLIGHTED = 60_000;

function languageName(language) {
  return hljs.getLanguage(language)?.name ?? language;
}

function highlight(code, language) {
  const text = code.textContent;
  if (!hljs.getLanguage(language) || text.length > MAX_HIGHLIGHTED) return;
  const { value } = hljs.highlight(text, { language, ignoreIllegals: true });
  code.replaceChildren(sanitizeHighlight(value));
}

/**
 * A code block that can grow: `update(token, complete)` appends what is new.
 * @param {{lang?: string, text: string, raw: string}} token
 */
export function createCodeBlock(token, complete) {
  const language = codeLanguage(token.lang);
  const code = h("code");
  const shown = document.createTextNode("");
  code.append(shown);
  const copy = h("button", { type: "button", class: "code-copy", "aria-label": "Copy code",
    on: { click: copyCode } }, icon("copy"), h("span", { text: "Copy" }));
  const scroller = h("pre", { tabindex: "0", role: "group", "aria-label": "Code" }, code);
  const element = h("div", { class: "code-block", dir: "ltr" },
    h("div", { class: "code-head" }, h("span", { class: "code-lang", text: languageName(language) || "text" }), copy),
    scroller);
  let highlighted = false;

  async function copyCode() {
    const worked = await copyText(code.textContent);
    if (worked) flashDone(copy, "Copied");
    announce(worked ? "Code copied" : "Copying failed");
  }

  function update(next, finished) {
    if (codeLanguage(next.lang) !== language) return false;
    const before = code.textContent;
    if (!next.text.startsWith(before)) return false;
    if (next.text !== before) {
      if (highlighted) return false;
      shown.appendData(next.text.slice(before.length));
    }
    if (!highlighted && (finished || isClosedFence(next.raw))) {
      highlighted = true;
      highlight(code, language);
    }
    return true;
  }

  update(token, complete);
  return { element, update };
}
