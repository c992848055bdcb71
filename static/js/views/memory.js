// What a conversation remembers: the line in the thread, and the panel to read, correct and pin it.

import { h, icon, iconButton } from "../dom.js";
import { openPanel } from "./panel.js";

const CHANGED = "memory_changed";
const HAS_CHANGED = {
  text: "This has changed meanwhile, perhaps in another tab. What you typed is not saved yet: copy it if you need it.",
  again: "Show it as it is now",
};

/** The line between what is remembered in summary and what stands as it was said. */
export function createMemoryLine(open) {
  return h("div", { class: "memory-line" },
    h("button", { type: "button", class: "memory-line-button", on: { click: open } },
      "Earlier messages are remembered in summary"));
}

/** The message before which the line stands, of those shown in order; null where it is not among them. */
export function firstAsSaid(messages, summarySeq) {
  if (!summarySeq || !messages.some(({ seq }) => seq !== null && seq <= summarySeq)) return null;
  return messages.find(({ seq }) => seq === null || seq > summarySeq) ?? null;
}

/**
 * Opens the panel for a conversation.
 * @param {{api: object, onSaved: (memory: object) => void}} deps
 */
export function createMemoryPanel({ api, onSaved }) {
  return (conversationId) => {
    const path = `/conversations/${conversationId}/memory`;
    const body = h("div", { class: "memory-body" }, h("p", { text: "Loading…" }));
    let fields = null;

    openPanel({
      name: "memory",
      title: "What is remembered here",
      parts: [body],
      load: async () => {
        fields = drawMemory(await api.get(path));
        body.replaceChildren(...fields.elements);
      },
      save: async () => onSaved(await api.put(path, fields.read())),
      tellOf: (error) => error.code === CHANGED ? HAS_CHANGED : {},
    });
  };
}

/** The panel's parts for a memory, and `read()`: what to send of it. */
function drawMemory({ version, summary, isCorrected, pinnedFacts, limits }) {
  const facts = h("ul", { class: "memory-facts" });
  const add = h("button", { type: "button", class: "button button-small", on: { click: () => addFact("").focus() } },
    icon("plus"), "Pin a fact");

  function addFact(text) {
    const input = h("input", { type: "text", maxlength: "500", dir: "auto", "aria-label": "Pinned fact" });
    input.value = text;
    const row = h("li", {}, input, iconButton("trash", "Remove this fact", () => {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      check();
      (next?.querySelector("input") ?? add).focus();
    }));
    facts.append(row);
    check();
    return input;
  }

  function check() {
    add.disabled = facts.children.length >= limits.pinnedFacts;
  }

  pinnedFacts.forEach(addFact);
  const notes = drawSummary(summary, isCorrected, (line) => addFact(line).focus());
  const inputs = () => [...facts.querySelectorAll("input")];
  return {
    elements: [
      h("section", {}, h("h3", { text: "Pinned" }),
        h("p", { text: "These stand in every question from now on, however long the conversation gets." }),
        facts, add),
      h("section", {}, h("h3", { text: "Summary of earlier messages" }), ...notes.elements),
    ],
    read: () => ({
      version,
      pinnedFacts: inputs().map((input) => input.value.trim()).filter(Boolean),
      ...notes.read(),
    }),
  };
}

function drawSummary(summary, isCorrected, pin) {
  if (summary === null) {
    const text = "There is none yet: all that was said is still told to the model, word for word.";
    return { elements: [h("p", { text })], read: () => ({}) };
  }
  let area = null;
  const state = h("p", { text: isCorrected ? "You have corrected this." : "This was noted automatically. It can be wrong." });
  const lines = h("ul", { class: "memory-lines" }, ...summary.split("\n").filter((line) => line.trim()).map((line) =>
    h("li", {}, h("span", { text: line, dir: "auto" }),
      h("button", { type: "button", class: "button button-small button-quiet", text: "Pin",
        "aria-label": `Pin: ${line}`, on: { click: () => pin(line) } }))));
  const empty = !lines.children.length && h("p", { class: "memory-none", text: "Nothing is kept of them." });
  const correct = h("button", { type: "button", class: "button button-small", on: { click: edit } }, icon("pen"), "Correct it");

  function edit() {
    area = h("textarea", { rows: "8", maxlength: "8000", dir: "auto", "aria-label": "Summary of earlier messages" });
    area.value = summary;
    if (empty) empty.remove();
    correct.remove();
    lines.replaceWith(area);
    area.focus();
  }

  return {
    elements: [state, lines, ...(empty ? [empty] : []), correct],
    read: () => (area && area.value.trim() !== summary.trim() ? { summary: area.value } : {}),
  };
}
