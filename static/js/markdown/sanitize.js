// The only door through which model output becomes elements.

import DOMPurify from "../../vendor/dompurify/purify.es.js";

const TEXT_TAGS = ["p", "br", "hr", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol",
  "li", "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "a"];

const MARKDOWN = {
  ALLOWED_TAGS: TEXT_TAGS,
  ALLOWED_ATTR: ["href", "rel", "target", "start", "align", "class"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  // Else their values would have to look like addresses.
  ADD_URI_SAFE_ATTR: ["rel", "target", "start", "align"],
  RETURN_DOM_FRAGMENT: true,
};

const HIGHLIGHT = {
  ALLOWED_TAGS: ["span"],
  ALLOWED_ATTR: ["class"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

// Only we write classes (`language-x` and `math` on code): markup in an answer is escaped before this.

/** A fragment of plain text markup; scripts, images, styles and odd links are gone. */
export const sanitizeMarkdown = (html) => DOMPurify.sanitize(html, MARKDOWN);

/** A fragment of highlighted code: spans with classes. */
export const sanitizeHighlight = (html) => DOMPurify.sanitize(html, HIGHLIGHT);
