// Operations on the list of messages in view. Pure.

/**
 * A message as the API gives it, with a `key` that never changes while it is on the page, and
 * `live` ({answer, state}) while its answer is being written.
 * @typedef {object} Message
 */

/** A message the server has not confirmed yet. */
export const localMessage = (key, role, content, extra = {}) => ({
  key, messageId: null, seq: null, parentSeq: null, role, content, status: "pending", model: null, routeReason: null,
  createdAt: new Date().toISOString(), generationId: null, error: null, usage: null, feedback: null, ...extra,
});

/**
 * A page of the conversation laid over what is shown: of that stays what the page goes on from, and
 * known messages keep their keys. What lies elsewhere, or on a branch left by an edit, goes.
 * @param {Message[]} shown
 * @param {object[]} page  ascending
 */
export function mergePage(shown, page) {
  const bySeq = new Map(shown.filter((one) => one.seq !== null).map((one) => [one.seq, one.key]));
  // Unconfirmed messages stand in the order in which the server stores them, as the newest of all.
  const spare = { user: [], assistant: [] };
  for (const one of shown) if (one.seq === null) spare[one.role].push(one.key);
  const merged = [...page].reverse().map((one) => ({
    ...one,
    key: bySeq.get(one.seq) ?? spare[one.role]?.pop() ?? one.messageId,
  }));
  return [...upTo(shown, page[0]?.parentSeq), ...merged.reverse()];
}

/** The messages shown up to one of them; none when it is not shown. */
function upTo(shown, seq) {
  const place = seq ? shown.findIndex((one) => one.seq === seq) : -1;
  return shown.slice(0, place + 1);
}

/** An older page put in front. */
export function mergeOlder(shown, page) {
  return [...fresh(shown, page), ...shown];
}

/** A newer page put behind. */
export function mergeNewer(shown, page) {
  return [...shown, ...fresh(shown, page)];
}

function fresh(shown, page) {
  const have = new Set(shown.map((one) => one.messageId));
  return page.filter((one) => !have.has(one.messageId)).map((one) => ({ ...one, key: one.messageId }));
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
