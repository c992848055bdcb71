// What every answer is to heed: the person's custom instructions, to read and change.

import { h } from "../dom.js";
import { explain } from "../errors.js";
import { drawSupport } from "./support.js";

/**
 * Opens the panel. What is typed stays in it until it was accepted.
 * @param {{api: object, onSaved: () => void}} deps
 */
export function createInstructionsPanel({ api, onSaved }) {
  return () => {
    const back = document.activeElement;
    const area = h("textarea", { id: "instructions-field", rows: "8", maxlength: "8000", dir: "auto", disabled: true });
    const alert = h("div", { class: "memory-alert", role: "alert" });
    const save = h("button", { type: "submit", class: "button button-primary", text: "Save", disabled: true });
    const cancel = h("button", { type: "button", class: "button button-quiet", text: "Close",
      on: { click: () => dialog.close() } });
    const form = h("form", { method: "dialog", on: { submit } },
      h("h2", { id: "instructions-title", text: "Custom instructions" }),
      h("p", { text: "These stand before every conversation, from the next question on." }),
      h("label", { for: "instructions-field", text: "What should Parley know or heed?" }), area, alert,
      h("div", { class: "dialog-actions" }, cancel, save));
    const dialog = h("dialog", { class: "dialog dialog-memory", "aria-labelledby": "instructions-title" }, form);

    dialog.addEventListener("close", () => {
      dialog.remove();
      back?.focus?.();
    });

    async function load() {
      alert.replaceChildren();
      try {
        // Null is what could not be opened.
        const { customInstructions } = await api.get("/me");
        area.value = customInstructions ?? "";
        if (customInstructions === null) alert.replaceChildren(h("p", { text: "What you had written cannot be opened." }));
        area.disabled = save.disabled = false;
        area.focus();
      } catch (error) {
        refuse(error, h("button", { type: "button", class: "button button-small", text: "Try again", on: { click: load } }));
      }
    }

    async function submit(event) {
      event.preventDefault();
      if (save.disabled) return;
      save.disabled = true;
      alert.replaceChildren();
      try {
        await api.patch("/me", { customInstructions: area.value });
        dialog.close();
        onSaved();
      } catch (error) {
        save.disabled = false;
        refuse(error, "");
      }
    }

    function refuse(error, again) {
      const { text, support } = explain(error);
      alert.replaceChildren(h("p", { text: text || error.message }), again, drawSupport(support) ?? "");
    }

    document.body.append(dialog);
    dialog.showModal();
    load();
  };
}
