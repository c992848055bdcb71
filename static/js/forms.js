// Account pages: show a password, send a form once.

import { h } from "./dom.js";

for (const input of document.querySelectorAll('input[type="password"]')) {
  const button = h("button", { type: "button", class: "password-show", text: "Show", "aria-pressed": "false",
    "aria-label": "Show password", on: { click: toggle } });
  const frame = h("div", { class: "password" });
  input.replaceWith(frame);
  frame.append(input, button);

  function toggle() {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
    button.setAttribute("aria-pressed", String(shown));
  }
}

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    // A second press while the first is under way would send it twice.
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form")) delete form.dataset.sent;
});

const wrong = document.querySelector('[aria-invalid="true"]');
(wrong ?? document.querySelector('.field input:not([type="hidden"], :disabled)'))?.focus();
