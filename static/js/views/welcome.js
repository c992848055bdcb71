// The first page of a new chat: a greeting and some ways to begin.

import { h, icon } from "../dom.js";

const EXAMPLES = [
  ["pen", "Help me write", "Help me write a short, warm note that declines an invitation."],
  ["bulb", "Explain something", "Explain how tides work, as if to a curious ten-year-old."],
  ["code", "Work on code", "Write a Python function that groups anagrams, with an example."],
  ["list", "Make a plan", "Plan a simple week of dinners for two that take under 30 minutes."],
];

const greeting = (hour) =>
  hour < 5 ? "Still awake?" : hour < 12 ? "Good morning." : hour < 18 ? "Good afternoon." : "Good evening.";

/**
 * @param {HTMLElement} element
 * @param {{store: object, choose: (prompt: string) => void}} deps
 */
export function createWelcome(element, { store, choose }) {
  const cards = EXAMPLES.map(([sign, title, prompt]) =>
    h("li", {}, h("button", { type: "button", class: "example", on: { click: () => choose(prompt) } },
      icon(sign), h("span", {}, h("strong", { text: title }), h("span", { text: prompt })))));
  element.replaceChildren(
    h("h1", { text: greeting(new Date().getHours()) }),
    h("p", { text: "What shall we talk about?" }),
    h("ul", { class: "examples", "aria-label": "Examples" }, ...cards),
  );
  store.watch(["conversationId", "messages", "loading"], ({ conversationId, messages, loading }) => {
    const hidden = messages.length > 0 || loading === "loading" || loading === "failed";
    element.hidden = hidden;
    // In a conversation that turns out to be empty the box stays where a hand may be reaching for it.
    document.body.classList.toggle("is-empty", !hidden && !conversationId);
  });
}
