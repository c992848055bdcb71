// The search box, and what was found.

import { h, throttleToFrame } from "../dom.js";
import { shortDate } from "../time.js";

const PAUSE_MS = 250;
const WHO = { user: "You", assistant: "Parley" };

/** A snippet's parts as nodes; what was found is marked. Text only, whatever it says. */
const snippet = (parts) => parts.map((part) => (part.isMatch ? h("mark", { text: part.text }) : part.text));

/**
 * @param {object} elements {input, list, status, more, scroller}
 * @param {object} deps     {store, searching, open, linkTo, say}
 */
export function createResults({ input, list, status, more, scroller }, { store, searching, open, linkTo, say }) {
  let drawn = [];

  function createResult(item) {
    const { match } = item;
    const isTitle = match.seq === null;
    const title = h("span", { class: "result-title", dir: "auto" }, ...(isTitle ? snippet(match.snippet) : [item.title]));
    const text = isTitle ? null : h("span", { class: "result-text", dir: "auto" }, ...snippet(match.snippet));
    const note = h("span", { class: "result-note",
      text: [WHO[match.role] ?? "Title", shortDate(match.createdAt)].join(" · ") });
    function click(event) {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      event.preventDefault();
      open(item.conversationId, match.seq);
    }
    return h("li", {}, h("a", { class: "result", href: linkTo(item.conversationId, match.seq), on: { click } }, title, text, note));
  }

  function words({ items, state, error }) {
    if (state === "failed") return error.code === "network" ? "The search could not be sent: the connection was lost." : error.message;
    if (state === "slow") return "Still searching…";
    if (state === "loading") return items.length ? "" : "Searching…";
    return items.length ? "" : "Nothing found. Whole words are found, in any form, and the beginning of the last one.";
  }

  function draw() {
    const { found } = store.get();
    const items = found?.items ?? [];
    // A page that came is added: what has the focus stays where it is.
    const goesOn = drawn.length > 0 && drawn.every((one, place) => one === items[place]);
    if (!goesOn) list.replaceChildren();
    list.append(...items.slice(goesOn ? drawn.length : 0).map(createResult));
    if (items.length && items !== drawn && !goesOn) say(items.length === 1 && !found.cursor ? "1 result" : `${items.length} results${found.cursor ? ", or more" : ""}`);
    drawn = items;
    list.hidden = !items.length;
    const said = found ? words(found) : "";
    if (found?.state === "failed") {
      status.replaceChildren(said, " ", h("button", { type: "button", class: "link-button", text: "Try again", on: { click: searching.retry } }));
    } else if (status.textContent !== said) status.textContent = said;
    status.hidden = !said;
    more.hidden = !found?.cursor || found.state === "failed";
  }

  let pause = 0;
  function searchNow() {
    clearTimeout(pause);
    const query = input.value.trim();
    if (query !== (store.get().found?.query ?? "")) searching.search(query);
  }
  input.addEventListener("input", (event) => {
    clearTimeout(pause);
    // What is being composed is not yet what is meant.
    if (!event.isComposing) pause = setTimeout(searchNow, input.value ? PAUSE_MS : 0);
  });
  input.addEventListener("compositionend", () => { pause = setTimeout(searchNow, PAUSE_MS); });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") searchNow();
    if (event.key === "Escape" && input.value) {
      event.stopPropagation();
      clear();
    }
    if (event.key === "ArrowDown") move(event, -1, 1);
  });
  list.addEventListener("keydown", (event) => {
    const at = links().indexOf(document.activeElement);
    if (event.key === "ArrowDown") move(event, at, 1);
    if (event.key === "ArrowUp") move(event, at, -1);
    if (event.key === "Escape") {
      event.stopPropagation();
      input.focus();
    }
  });

  const links = () => [...list.querySelectorAll("a")];

  function move(event, from, by) {
    const next = links()[from + by];
    if (!next && from + by >= 0) return;
    event.preventDefault();
    (next ?? input).focus();
  }

  function clear() {
    input.value = "";
    searchNow();
  }

  new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && searching.more(),
    { root: scroller, rootMargin: "0px 0px 300px" }).observe(more);
  store.watch(["found"], throttleToFrame(draw));
  // What was typed before this script ran.
  searchNow();
}
