// Markdown on the page: draws a growing text, touching only the blocks that changed.

import { h } from "./dom.js";
import { blockHtml, commonPrefix, hasDefinitions, lexBlocks, settledCount } from "./markdown/blocks.js";
import { createCodeBlock } from "./markdown/code.js";
import { sanitizeMarkdown } from "./markdown/sanitize.js";

function textBlock(token) {
  // Each block is read in its own direction: an answer in Arabic may begin with an English word.
  const element = h("div", { class: "md-block", dir: "auto" });
  element.append(sanitizeMarkdown(blockHtml(token)));
  for (const table of element.querySelectorAll("table")) {
    const frame = h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table" });
    table.replaceWith(frame);
    frame.append(table);
  }
  // Code inside a list or a quote comes as plain elements; give it the same frame.
  for (const pre of element.querySelectorAll("pre")) {
    const text = pre.textContent.replace(/\n$/, "");
    const lang = pre.querySelector("code")?.className.replace("language-", "") ?? "";
    pre.replaceWith(createCodeBlock({ text, raw: "", lang }, true).element);
  }
  return { raw: token.raw, element };
}

function drawBlock(token, complete) {
  if (token.type === "space" || token.type === "def") {
    return { raw: token.raw, element: document.createComment("") };
  }
  if (token.type !== "code") return textBlock(token);
  const { element, update } = createCodeBlock(token, complete);
  return { raw: token.raw, element, update: (next, done) => next.type === "code" && update(next, done) };
}

/**
 * A renderer that owns the content of `root`.
 * @param {HTMLElement} root
 * @returns {{update: (text: string, final?: boolean) => void}}
 */
export function createMarkdown(root) {
  let blocks = [];
  let settled = 0;
  let settledText = "";

  const clear = () => {
    root.replaceChildren();
    blocks = [];
    settled = 0;
    settledText = "";
  };

  const draw = (tokens, from, final) => {
    const same = from + commonPrefix(blocks.slice(from).map((block) => block.raw), tokens);
    // The block that grew may take the new text without being drawn again.
    const grown = tokens[same - from];
    let keep = same;
    const last = tokens.length - 1 + from;
    if (grown && blocks[same]?.update?.(grown, final || same < last)) {
      blocks[same].raw = grown.raw;
      keep = same + 1;
    }
    for (const block of blocks.splice(keep)) block.element.remove();
    for (let index = keep; index <= last; index += 1) {
      const block = drawBlock(tokens[index - from], final || index < last);
      blocks.push(block);
      root.append(block.element);
    }
    // A fence that is followed by something, or ended with the answer, is complete.
    for (let index = from; index < blocks.length; index += 1) {
      if (final || index < last) blocks[index].update?.(tokens[index - from], true);
    }
  };

  /** Show `text`; `final` draws what was waiting for the end (links by reference, highlighting). */
  function update(source, final = false) {
    const text = source.replace(/\r\n?/g, "\n");
    if (!text.startsWith(settledText)) clear();
    if (final) {
      const tokens = lexBlocks(text);
      if (hasDefinitions(tokens)) clear();
      settled = 0;
      settledText = "";
      draw(tokens, 0, true);
      return;
    }
    const tokens = lexBlocks(text.slice(settledText.length));
    draw(tokens, settled, false);
    const done = settledCount(tokens);
    for (const token of tokens.slice(0, done)) settledText += token.raw;
    settled += done;
    if (!text.startsWith(settledText)) {
      settled = 0;
      settledText = "";
    }
  }

  return { update };
}
