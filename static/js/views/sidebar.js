// The list of conversations.

import { h, throttleToFrame } from "../dom.js";
import { dayGroup } from "../time.js";
import { createItem } from "./sidebar_item.js";

/**
 * @param {object} elements {list, status, more, scroller}
 * @param {object} deps     {store, conversations, open, linkTo}
 */
export function createSidebar({ list, status, more, scroller }, { store, conversations, act }) {
  const rows = new Map();

  const groupOf = (item) => (item.pinned ? "Pinned" : dayGroup(new Date(item.updatedAt)));

  function rowOf(item) {
    let row = rows.get(item.conversationId);
    if (!row) rows.set(item.conversationId, (row = createItem(item, act)));
    row.update(item, store.get().conversationId === item.conversationId);
    return row.element;
  }

  function draw() {
    const { items, found, listLoading, listError } = store.get();
    // Results of a search stand in its place.
    list.hidden = Boolean(found);
    const groups = new Map();
    for (const item of items) {
      const name = groupOf(item);
      groups.set(name, [...(groups.get(name) ?? []), item]);
    }
    const ids = new Set(items.map((one) => one.conversationId));
    for (const id of rows.keys()) if (!ids.has(id)) rows.delete(id);
    // Moving a focused row would take the focus away; give it back.
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const at = focused ? [...list.querySelectorAll(".item")].indexOf(focused.closest(".item")) : -1;
    list.replaceChildren(...[...groups].map(([name, members]) =>
      h("section", { class: "group", "aria-label": name },
        h("h3", { text: name }), h("ul", {}, ...members.map(rowOf)))));
    if (focused?.isConnected && document.activeElement !== focused) focused.focus();
    // The row is gone: the one that took its place has the focus.
    if (focused && !focused.isConnected) [...list.querySelectorAll(".item-link")].slice(0, at + 1).at(-1)?.focus();
    status.textContent = words(items, listLoading, listError);
    status.hidden = Boolean(found) || !status.textContent;
    more.hidden = Boolean(found) || !store.get().itemsCursor;
  }

  function words(items, loading, error) {
    if (error) return "The list could not be loaded.";
    if (items.length || loading) return "";
    return "Your conversations will be kept here.";
  }

  new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && conversations.more(),
    { root: scroller, rootMargin: "0px 0px 300px" }).observe(more);

  store.watch(["items", "found", "conversationId", "itemsCursor", "listError", "listLoading"], throttleToFrame(draw));
}
