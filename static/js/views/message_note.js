// The line under an answer that says, in words, what state it is in.

import { h, icon } from "../dom.js";
import { queueWords } from "../time.js";

const status = (text, name) =>
  h("p", { class: `status ${name}` }, h("span", { class: "status-dots", "aria-hidden": "true" },
    h("i"), h("i"), h("i")), text);

const plain = (text, name = "") => h("p", { class: `note ${name}`, text });

function liveWords({ answer, phase, stopping }) {
  if (stopping) return "Stopping…";
  if (phase === "reconnecting") return "Reconnecting…";
  if (answer?.status === "queued") return queueWords(answer.queue);
  if (answer?.status === "streaming") return "";
  return "Thinking…";
}

function failure(message, { canRetry, retry }) {
  const text = message.error?.message ?? "The answer could not be finished.";
  const button = canRetry && h("button", { type: "button", class: "button button-small", on: { click: retry } },
    icon("again"), "Try again");
  return h("div", { class: "note note-error" }, icon("warning"), h("p", { text }), button);
}

/**
 * The nodes to show under an answer; none when it is simply complete.
 * @returns {Node[]}
 */
export function messageNote(message, options) {
  if (message.live) {
    const words = liveWords(message.live);
    return words ? [status(words, `is-${message.live.phase}`)] : [];
  }
  if (message.status === "failed") return [failure(message, options)];
  if (message.status === "halted") {
    return [h("div", { class: "note note-halted" }, icon("shield"),
      h("p", { text: message.content || "This answer was withdrawn." }))];
  }
  if (message.status === "unavailable" || message.content === null) {
    return [plain("This message cannot be read.", "note-quiet")];
  }
  if (message.status === "stopped") return [plain("Stopped", "note-quiet")];
  if (message.stopReason === "max_tokens") return [plain("Reached the length limit", "note-quiet")];
  return [];
}
