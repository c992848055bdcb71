// The line under an answer that is over: what became of it, in words.

import { h, icon } from "../dom.js";

const plain = (text, name = "") => h("p", { class: `note ${name}`, text });

function failure(message, { canRetry, retry }) {
  const text = message.error?.message ?? "The answer could not be finished.";
  const button = canRetry && h("button", { type: "button", class: "button button-small", on: { click: retry } },
    icon("again"), "Try again");
  return h("div", { class: "note note-error" }, icon("warning"), h("p", { text }), button);
}

/**
 * The nodes to show under such an answer; none when it is simply complete.
 * @returns {Node[]}
 */
export function messageNote(message, options) {
  if (message.status === "failed") return [failure(message, options)];
  if (message.status === "halted") {
    return [h("div", { class: "note note-halted" }, icon("shield"),
      h("p", { text: message.content || "This answer was withdrawn." }))];
  }
  if (message.status === "unavailable" || message.content === null) {
    return [plain("This message cannot be read.", "note-quiet")];
  }
  if (message.status === "lost") {
    return [plain("The rest of this answer is not here yet. It goes on without this page.", "note-quiet")];
  }
  if (message.status === "stopped") return [plain("Stopped", "note-quiet")];
  if (message.stopReason === "max_tokens") return [plain("Reached the length limit", "note-quiet")];
  return [];
}
