// What was put away: a dialog that lists it, opens it and brings it back.

import { h } from "../dom.js";
import { explain } from "../errors.js";

const PAGE = 50;

/**
 * Opens the dialog.
 * @param {object} deps
 * @param {(id: string) => string} deps.linkTo
 * @param {(id: string) => void} deps.open
 * @param {(id: string) => Promise<boolean>} deps.bringBack  true when it worked
 */
export function createArchivePanel({ api, linkTo, open, bringBack }) {
  return () => {
    let cursor = null;
    const list = h("ul", { class: "archived" });
    const words = h("p", { role: "status", text: "Loading…" });
    const more = h("button", { type: "button", class: "button button-small", text: "Show more", hidden: true, on: { click: load } });
    const close = h("button", { type: "button", class: "button button-quiet", text: "Close", on: { click: () => dialog.close() } });
    const dialog = h("dialog", { class: "dialog dialog-memory", "aria-labelledby": "archive-title" },
      h("h2", { id: "archive-title", text: "Archived conversations" }), words, list, more,
      h("div", { class: "dialog-actions" }, close));

    function drawRow({ conversationId, title }) {
      const link = h("a", { class: "item-title", href: linkTo(conversationId), text: title, dir: "auto", on: { click: follow } });
      const back = h("button", { type: "button", class: "button button-small", text: "Bring back",
        "aria-label": `Bring back ${title}`, on: { click: restore } });
      const row = h("li", {}, link, back);

      function follow(event) {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        dialog.close();
        open(conversationId);
      }
      async function restore() {
        back.disabled = true;
        if (await bringBack(conversationId)) {
          const next = row.nextElementSibling ?? row.previousElementSibling;
          row.remove();
          (next?.querySelector("button") ?? close).focus();
          say();
        } else back.disabled = false;
      }
      return row;
    }

    const say = () => { words.textContent = list.children.length || cursor ? "They are still found by a search." : "Nothing is archived."; };

    async function load() {
      more.disabled = true;
      try {
        const parameters = new URLSearchParams({ archived: true, limit: PAGE, ...(cursor && { cursor }) });
        const page = await api.get(`/conversations?${parameters}`);
        list.append(...page.items.map(drawRow));
        cursor = page.nextCursor;
        more.textContent = "Show more";
        more.hidden = !cursor;
        say();
      } catch (error) {
        words.textContent = explain(error).text || error.message;
        more.textContent = "Try again";
        more.hidden = false;
      }
      more.disabled = false;
    }

    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    close.focus();
    load();
  };
}
