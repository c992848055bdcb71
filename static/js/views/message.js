// One message on the page.

import { copyText, flashDone, h, iconButton } from "../dom.js";
import { createMarkdown } from "../markdown.js";
import { fullTime } from "../time.js";
import { usageWords } from "../usage.js";
import { createLiveStatus } from "./live_status.js";
import { messageNote } from "./message_note.js";
import { createVersions } from "./versions.js";

/**
 * @param {object} message
 * @param {object} act  {say, edit, regenerate, rate, showVersion, modelName, reasonText}
 */
export const createMessage = (message, act) =>
  message.role === "user" ? createUserMessage(message, act) : createAnswer(message, act);

async function copyFrom(button, text, act) {
  const worked = await copyText(text);
  if (worked) flashDone(button, "Copied");
  act.say(worked ? "Copied" : "Copying failed");
}

function createUserMessage(first, act) {
  let message = first;
  const bubble = h("div", { class: "bubble", dir: "auto" });
  const copy = iconButton("copy", "Copy message", () => copyFrom(copy, message.content ?? "", act));
  const edit = iconButton("edit", "Edit and send again", () => act.edit(message, element));
  const versions = createVersions((step, seq) => act.showVersion(message, step, seq));
  const actions = h("div", { class: "message-actions" }, copy, edit, versions.element);
  const element = h("article", { class: "message message-user" },
    h("h2", { class: "sr-only", text: "You said" }), bubble, actions);

  function update(next, { busy }) {
    message = next;
    bubble.textContent = next.content ?? "This message cannot be read.";
    bubble.classList.toggle("is-unavailable", next.content === null);
    edit.hidden = busy || next.seq === null;
    versions.update(next, { busy });
    bubble.title = next.createdAt ? fullTime(next.createdAt) : "";
  }

  return { element, update, focusVersions: versions.focus };
}

function createAnswer(first, act) {
  let message = first;
  const body = h("div", { class: "md" });
  const markdown = createMarkdown(body);
  const note = h("div", { class: "message-note" });
  const status = createLiveStatus();
  const copy = iconButton("copy", "Copy answer", () => copyFrom(copy, message.content ?? "", act));
  const up = iconButton("up", "Good answer", () => rate("up"), { "aria-pressed": "false" });
  const down = iconButton("down", "Bad answer", () => rate("down"), { "aria-pressed": "false" });
  const again = iconButton("again", "Write another answer", () => act.regenerate(message));
  const model = h("span", { class: "message-model" });
  const reason = h("span", { class: "message-reason" });
  const origin = h("div", { class: "message-origin" }, model, reason);
  const versions = createVersions((step, seq) => act.showVersion(message, step, seq));
  const actions = h("div", { class: "message-actions" }, versions.element, copy, up, down, again, origin);
  const element = h("article", { class: "message message-assistant" },
    h("h2", { class: "sr-only", text: "Parley answered" }), body, note, actions);
  let drawn = { text: null, final: false };

  const rate = (rating) => act.rate(message, message.feedback?.rating === rating ? null : rating);

  function drawText(live) {
    const text = message.status === "halted" ? "" : message.content ?? "";
    const final = !live;
    if (drawn.text === text && drawn.final === final) return;
    markdown.update(text, final);
    drawn = { text, final };
  }

  function drawNote(live, canRetry) {
    if (!live) {
      note.replaceChildren(...messageNote(message, { canRetry, retry: () => act.regenerate(message) }));
      return;
    }
    status.update(live.state);
    if (note.firstChild !== status.element) note.replaceChildren(status.element);
  }

  function update(next, { busy, last }) {
    message = next;
    const live = next.live ?? null;
    drawText(live);
    element.classList.toggle("is-live", Boolean(live));
    element.classList.toggle("is-writing", live?.state.kind === "writing");
    element.setAttribute("aria-busy", String(Boolean(live)));
    drawNote(live, last && !busy && next.seq !== null);
    actions.hidden = Boolean(live);
    versions.update(next, { busy });
    const withdrawn = next.status === "halted";
    copy.hidden = !next.content || withdrawn;
    // A failed answer has its own, larger way to try again.
    again.hidden = !last || busy || next.seq === null || next.status === "failed";
    const rated = next.feedback?.rating ?? null;
    for (const [button, value] of [[up, "up"], [down, "down"]]) {
      button.setAttribute("aria-pressed", String(rated === value));
      button.hidden = next.seq === null || copy.hidden || (rated !== null && rated !== value);
    }
    model.textContent = act.modelName(next.model);
    const when = next.createdAt ? fullTime(next.createdAt) : "";
    model.title = [when, usageWords(next.usage)].filter(Boolean).join("\n");
    reason.textContent = (model.textContent && next.routeReason) || "";
    reason.title = act.reasonText(next.routeReason);
  }

  return { element, update, focusVersions: versions.focus };
}
