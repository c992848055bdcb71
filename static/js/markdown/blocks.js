// Markdown to HTML strings, block by block. Pure: no DOM; the result must still be sanitised.

import { Marked } from "../../vendor/marked/marked.esm.js";

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** `text` made safe for element content and quoted attributes. */
export const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (char) => ESCAPES[char]);

/** `href` when a reader may follow it, else null: http, https and mailto only. */
export function safeHref(href) {
  // Browsers ignore control characters and blanks inside a scheme.
  const bare = String(href ?? "").replace(/[\u0000-\u0020\u007f-\u009f\u00ad\u200b-\u200f\u2028\u2029]/g, "");
  return /^(?:https?:\/\/|mailto:)/i.test(bare) ? bare : null;
}

const anchor = (href, inner) =>
  `<a href="${escapeHtml(href)}" rel="noopener noreferrer nofollow" target="_blank">${inner}</a>`;

const renderer = {
  html: ({ text }) => escapeHtml(text),
  link({ href, tokens }) {
    const inner = this.parser.parseInline(tokens);
    const safe = safeHref(href);
    return safe ? anchor(safe, inner) : inner;
  },
  // An image would be fetched at once, and its address could carry the conversation away.
  image({ href, text }) {
    const label = escapeHtml(text || "image");
    const safe = safeHref(href);
    return safe ? anchor(safe, `Image: ${label}`) : label;
  },
  listitem(item) {
    return `<li${item.task ? ' class="task"' : ""}>${this.parser.parse(item.tokens)}</li>\n`;
  },
  checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
};

// Without these two, markup in an answer is ordinary text, and shows as such.
const tokenizer = { html: () => undefined, tag: () => undefined };

// Formulas stand as they were written: as Markdown they would lose backslashes, stars and underscores.
// None goes beyond its paragraph, nor beyond a length, so that many beginnings without an end cost little.
const inside = String.raw`(?:(?!\n\s*\n)[^]){1,2000}?`;
const display = String.raw`\\\[${inside}\\\]|\$\$${inside}\$\$`;
const block = String.raw`^ {0,3}(?:${display})[ \t]*(?:\n+|$)`;
const formula = ({ name, level, begins, whole, wrap }) => ({
  name,
  level,
  start: (source) => source.search(begins),
  tokenizer(source) {
    const raw = whole.exec(source)?.[0];
    return raw && { type: name, raw, text: raw.trim() };
  },
  renderer: ({ text }) => wrap(`<code class="math">${escapeHtml(text)}</code>`),
});
const extensions = [
  formula({
    name: "formula", level: "inline", begins: /\$\$|\\[([]/,
    whole: new RegExp(String.raw`^(?:\\\(${inside}\\\)|${display})`), wrap: (code) => code,
  }),
  formula({
    name: "formulaBlock", level: "block", begins: new RegExp(block, "m"),
    whole: new RegExp(block), wrap: (code) => `<p>${code}</p>\n`,
  }),
];

const marked = new Marked({ gfm: true, breaks: false, async: false, renderer, tokenizer });
marked.use({ extensions });

const plainHtml = (text) => `<p class="plain">${escapeHtml(text)}</p>\n`;

/**
 * The top-level tokens of a text; their `raw` fields joined give the text as marked reads it.
 * Text nested so deeply that the parser runs out of stack is one token that shows as it is.
 */
export function lexBlocks(text) {
  try {
    return marked.lexer(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [{ type: "plain", raw: text }];
  }
}

/** The HTML of one top-level token. */
export function blockHtml(token) {
  if (token.type === "plain") return plainHtml(token.raw);
  try {
    return marked.parser([token]);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return plainHtml(token.raw);
  }
}

/** The language named by a code block's info string, lower case, or "". */
export const codeLanguage = (info) => (/^[\w+#.-]+/.exec(info ?? "")?.[0] ?? "").toLowerCase();

/** Whether a fenced block's closing fence has arrived (indented code is never closed). */
export function isClosedFence(raw) {
  const lines = raw.trimEnd().split("\n");
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(lines[0])?.[1];
  if (!fence || lines.length < 2) return false;
  const last = lines.at(-1).trim();
  return last.length >= fence.length && last === fence[0].repeat(last.length);
}

/**
 * How far a growing text is settled: the number of leading tokens that more text cannot change.
 * The last block that is not blank may still grow, or turn into something else.
 */
export function settledCount(tokens) {
  let last = tokens.length - 1;
  while (last > 0 && tokens[last].type === "space") last -= 1;
  return Math.max(0, last);
}

/**
 * How many leading entries of `drawn` (raw strings) are still right for `tokens`.
 * @param {string[]} drawn
 * @param {{raw: string}[]} tokens
 */
export function commonPrefix(drawn, tokens) {
  const limit = Math.min(drawn.length, tokens.length);
  let same = 0;
  while (same < limit && drawn[same] === tokens[same].raw) same += 1;
  return same;
}

/** Whether link definitions exist: then a block's look can depend on text far below it. */
export const hasDefinitions = (tokens) => Object.keys(tokens.links ?? {}).length > 0;
