// A modal panel that shows what the server keeps, to change and save.

import { h } from "../dom.js";
import { explain } from "../errors.js";
import { drawSupport } from "./support.js";

/**
 * Open a panel, which loads at once and closes when what was typed was accepted.
 * What `load` or `save` throws is explained in it, and nothing typed is lost.
 * `tellOf(error)` may give another text, or a button's words with which to load once more.
 * @param {{name: string, title: string, parts: Element[], load: () => Promise<void>,
 *   save: () => Promise<void>, tellOf?: (error: Error) => {text?: string, again?: string}}} panel
 */
export function openPanel({ name, title, parts, load, save, tellOf = () => ({}) }) {
  const back = document.activeElement;
  let isLoaded = false;
  const alert = h("div", { class: "memory-alert", role: "alert" });
  const accept = h("button", { type: "submit", class: "button button-primary", text: "Save", disabled: true });
  const cancel = h("button", { type: "button", class: "button button-quiet", text: "Close",
    on: { click: () => dialog.close() } });
  const form = h("form", { method: "dialog", on: { submit } },
    h("h2", { id: `${name}-title`, text: title }), ...parts, alert,
    h("div", { class: "dialog-actions" }, cancel, accept));
  const dialog = h("dialog", { class: "dialog dialog-memory", "aria-labelledby": `${name}-title` }, form);

  dialog.addEventListener("close", () => {
    dialog.remove();
    back?.focus?.();
  });

  async function fill() {
    alert.replaceChildren();
    isLoaded = false;
    try {
      await load();
      isLoaded = true;
      accept.disabled = false;
    } catch (error) {
      refuse(error);
    }
  }

  async function submit(event) {
    event.preventDefault();
    if (accept.disabled) return;
    accept.disabled = true;
    alert.replaceChildren();
    try {
      await save();
      dialog.close();
    } catch (error) {
      accept.disabled = false;
      refuse(error);
    }
  }

  function refuse(error) {
    const { text, support } = explain(error);
    const told = { text: text || error.message, again: isLoaded ? "" : "Try again", ...tellOf(error) };
    const again = h("button", { type: "button", class: "button button-small", text: told.again, on: { click: fill } });
    alert.replaceChildren(h("p", { text: told.text }), told.again ? again : "", drawSupport(support) ?? "");
  }

  document.body.append(dialog);
  dialog.showModal();
  cancel.focus();
  fill();
}
