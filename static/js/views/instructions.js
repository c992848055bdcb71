// What every answer is to heed: the person's custom instructions, to read and change.

import { h } from "../dom.js";
import { openPanel } from "./panel.js";

/**
 * Opens the panel.
 * @param {{api: object, onSaved: () => void}} deps
 */
export function createInstructionsPanel({ api, onSaved }) {
  return () => {
    const area = h("textarea", { id: "instructions-field", rows: "8", maxlength: "8000", dir: "auto", disabled: true });
    const lost = h("p", { text: "What you had written cannot be opened.", hidden: true });

    async function load() {
      // Null is what could not be opened.
      const { customInstructions } = await api.get("/me");
      lost.hidden = customInstructions !== null;
      area.value = customInstructions ?? "";
      area.disabled = false;
      area.focus();
    }

    async function save() {
      await api.patch("/me", { customInstructions: area.value });
      onSaved();
    }

    openPanel({
      name: "instructions",
      title: "Custom instructions",
      parts: [
        h("p", { text: "These stand before every conversation, from the next question on." }),
        h("label", { for: "instructions-field", text: "What should Parley know or heed?" }), area, lost,
      ],
      load,
      save,
    });
  };
}
