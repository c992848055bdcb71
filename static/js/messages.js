// Operations on the list of messages in view. Pure.

/**
 * A message as the API gives it, with a `key` that never changes while it is on the page, and
 * `live` ({answer, phase, stopping}) while its answer is being written.
 * @typedef {object} Message
 */

/** A message the server has not confirmed yet. */
export const localMessage = (key, role, content, extra = {}) => ({
  key, messageId: null, seq: null, parentSeq: null, role, content, status: "pending", model: null, routeReason: null,
  createdAt: new Date().toISOString(), generationId: null, error: null, usage: null, feedback: null, ...extra,
});

/**
 * The newest page laid over what is shown: older messages stay, known ones keep their keys.
 * @param {Message[]} shown
 * @param {object[]} page  ascending
 */
export function mergeNewest(shown, page) {
  const first = page[0]?.seq ?? 0;
  const bySeq = new Map(shown.filter((one) => one.seq !== null).map((one) => [one.seq, one.key]));
  // Unconfirmed messages stand in the order in which the server stores them.
  const spare = { user: [], assistant: [] };
  for (const one of shown) if (one.seq === null) spare[one.role].push(one.key);
  const merged = page.map((one) => ({
    ...one,
    key: bySeq.get(one.seq) ?? spare[one.role]?.shift() ?? one.messageId,
  }));
  return [...shown.filter((one) => one.seq !== null && one.seq < first), ...merged];
}

/** An older page put in front. */
export function mergeOlder(shown, page) {
  const have = new Set(shown.map((one) => one.messageId));
  const fresh = page.filter((one) => !have.has(one.messageId));
  return [...fresh.map((one) => ({ ...one, key: one.messageId })), ...shown];
}

/** The list with one message changed. */
export const patchMessage = (messages, key, patch) =>
  messages.map((one) => (one.key === key ? { ...one, ...patch } : one));

/**
 * The list after an answer ended: the stored message, if the event carried it, else the text.
 * @param {import("./reducer.js").Answer} answer
 */
export function settleAnswer(messages, key, userKey, answer) {
  const stored = answer.message ?? {};
  const status = { done: "complete", stopped: "stopped", halted: "halted" }[answer.status] ?? "failed";
  const settled = {
    messageId: answer.messageId,
    generationId: answer.generationId,
    model: answer.model,
    ...stored,
    content: typeof stored.content === "string" ? stored.content : answer.text,
    status: stored.status ?? status,
    error: answer.error,
    stopReason: answer.stopReason,
    live: null,
  };
  return messages.map((one) => {
    if (one.key === key) return { ...one, ...settled };
    if (one.key === userKey) {
      return { ...one, seq: one.seq ?? stored.parentSeq ?? null, status: "complete" };
    }
    return one;
  });
}

/** Whether this text stands as the reader's own message near the end of the list. */
export const hasRecentText = (messages, text) =>
  messages.slice(-4).some((one) => one.role === "user" && one.content === text);
