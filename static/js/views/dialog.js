// Questions in a modal dialog.

import { h } from "../dom.js";

/**
 * Ask; resolves to null when refused, else to the field's text (or "" without a field).
 * With `expected`, only a field that holds just this confirms.
 * @param {{title: string, text: string, confirm: string, danger?: boolean, field?: string, expected?: string}} question
 * @returns {Promise<string|null>}
 */
export function ask({ title, text, confirm, danger = false, field = null, expected = null }) {
  return new Promise((resolve) => {
    // What has to be typed word for word is one line, which Enter confirms.
    const input = field && (expected === null
      ? h("textarea", { id: "dialog-field", rows: "3", maxlength: "2000", dir: "auto" })
      : h("input", { id: "dialog-field", type: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false" }));
    const cancel = h("button", { type: "button", class: "button button-quiet", text: "Cancel",
      on: { click: () => dialog.close("") } });
    const accept = h("button", { type: "submit", class: `button ${danger ? "button-danger" : "button-primary"}`,
      text: confirm });
    const form = h("form", { method: "dialog", on: { submit: accepted } },
      h("h2", { id: "dialog-title", text: title }), h("p", { text }),
      field && h("label", { for: "dialog-field", text: field }), input,
      h("div", { class: "dialog-actions" }, cancel, accept));
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" }, form);
    if (expected !== null) {
      accept.disabled = true;
      input.addEventListener("input", () => { accept.disabled = input.value.trim() !== expected; });
    }
    function accepted(event) {
      event.preventDefault();
      if (!accept.disabled) dialog.close("yes");
    }
    dialog.addEventListener("close", () => {
      const answer = dialog.returnValue === "yes" ? input?.value.trim() ?? "" : null;
      dialog.remove();
      resolve(answer);
    });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close(""));
    document.body.append(dialog);
    dialog.showModal();
    (input ?? (danger ? cancel : accept)).focus();
  });
}
