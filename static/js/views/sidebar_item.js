// One conversation in the list: open, rename in place, pin, archive, delete.

import { h, icon, iconButton } from "../dom.js";
import { openMenu } from "./menu.js";

const UNTITLED = "New chat";
const MAX_TITLE = 200;

/**
 * @param {object} first  a list item
 * @param {object} act    {open, rename, pin, archive, remove, linkTo}
 */
export function createItem(first, act) {
  let item = first;
  const title = h("span", { class: "item-title", dir: "auto" });
  const pin = icon("pin");
  const link = h("a", { class: "item-link", href: act.linkTo(item.conversationId), on: { click: open } }, title, pin);
  const menu = iconButton("more", "Options", () => openMenu(menu, actions()), { "aria-haspopup": "menu", "aria-expanded": "false" });
  const element = h("li", { class: "item" }, link, menu);

  function open(event) {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    act.open(item.conversationId);
  }

  const actions = () => [
    { label: "Rename", icon: "edit", run: rename },
    { label: item.pinned ? "Unpin" : "Pin", icon: "pin", run: () => act.pin(item, !item.pinned) },
    { label: "Archive", icon: "archive", run: () => act.archive(item) },
    { label: "Delete", icon: "trash", danger: true, run: () => act.remove(item) },
  ];

  function rename() {
    const input = h("input", { class: "item-input", "aria-label": "Title", maxlength: MAX_TITLE, on: { keydown, blur } });
    input.value = item.title || "";
    let finished = false;
    function finish(save, refocus = false) {
      if (finished) return;
      finished = true;
      input.replaceWith(link);
      const text = input.value.trim();
      if (save && text && text !== item.title) act.rename(item, text);
      if (refocus) link.focus();
    }
    // A list that is drawn anew takes the focus for a moment, and gives it back.
    function blur() {
      setTimeout(() => document.activeElement === input || finish(input.isConnected));
    }
    function keydown(event) {
      if (event.isComposing) return;
      if (event.key === "Enter") finish(true, true);
      if (event.key === "Escape") {
        event.stopPropagation();
        finish(false, true);
      }
    }
    link.replaceWith(input);
    input.focus();
    input.select();
  }

  function update(next, current) {
    item = next;
    title.textContent = next.title || UNTITLED;
    link.title = next.title || UNTITLED;
    menu.setAttribute("aria-label", `Options for ${next.title || UNTITLED}`);
    pin.classList.toggle("is-hidden", !next.pinned);
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    element.classList.toggle("is-current", current);
  }

  return { element, update };
}
