// What a reader knows of one generation, moved forward one event at a time. Pure.

/**
 * @typedef {object} Answer
 * @property {string} text            everything shown so far
 * @property {string|null} cursor     id of the last event applied, `attempt-seq`
 * @property {"waiting"|"queued"|"thinking"|"streaming"|"done"|"stopped"|"halted"|"failed"} status
 * @property {{position: number|null, etaMs: number|null}|null} queue
 * @property {string|null} generationId
 * @property {string|null} messageId
 * @property {string|null} model
 * @property {string|null} stopReason
 * @property {string|null} sha256     of the final text, from `done`
 * @property {object|null} message    the stored message, from a terminal event
 * @property {string|null} notice     what replaces a halted answer
 * @property {string|null} category
 * @property {{code: string, message: string, retryAfter?: number}|null} error
 */

const TERMINAL = new Set(["done", "stopped", "halted", "failed"]);

/** Whether nothing follows an event of this type. */
export const isTerminal = (type) => TERMINAL.has(type);

/** @returns {Answer} the state before the first event */
export const emptyAnswer = (known = {}) => ({
  text: "",
  cursor: null,
  status: "waiting",
  queue: null,
  generationId: null,
  messageId: null,
  model: null,
  stopReason: null,
  sha256: null,
  message: null,
  notice: null,
  category: null,
  error: null,
  ...known,
});

/** `[attempt, seq]` of an event id, or null when it has another form. */
export function parseEventId(id) {
  const match = /^(\d+)-(\d+)$/.exec(id ?? "");
  return match && [Number(match[1]), Number(match[2])];
}

/** Whether `id` comes after `cursor`; ids of unknown form are never dropped. */
export function isNewer(id, cursor) {
  const [next, last] = [parseEventId(id), parseEventId(cursor)];
  if (!next || !last) return true;
  return next[0] !== last[0] ? next[0] > last[0] : next[1] > last[1];
}

const CHANGES = {
  queued: (_, data) => ({
    status: "queued",
    queue: { position: data.position ?? null, etaMs: data.etaMs ?? null },
  }),
  started: (answer, data) => ({
    status: answer.text ? "streaming" : "thinking",
    queue: null,
    generationId: data.generationId ?? answer.generationId,
    messageId: data.messageId ?? answer.messageId,
    model: data.model ?? answer.model,
  }),
  delta: (answer, data) => ({
    status: "streaming",
    queue: null,
    text: answer.text + (data.text ?? ""),
  }),
  snapshot: (_, data) => ({
    status: data.text ? "streaming" : "thinking",
    queue: null,
    text: data.text ?? "",
  }),
  done: (_, data) => ({
    status: "done",
    queue: null,
    stopReason: data.stopReason ?? null,
    sha256: data.sha256 ?? null,
    message: data.message ?? null,
  }),
  stopped: (_, data) => ({ status: "stopped", queue: null, message: data.message ?? null }),
  halted: (_, data) => ({
    status: "halted",
    queue: null,
    text: data.notice ?? "",
    notice: data.notice ?? "",
    category: data.category ?? null,
  }),
  failed: (_, data) => ({ status: "failed", queue: null, error: data.error ?? null }),
};

/**
 * The answer after one event; the same object when the event is old, unknown, or comes after
 * the end.
 * @param {Answer} answer
 * @param {{type: string, id?: string|null, data: object}} event
 * @returns {Answer}
 */
export function applyEvent(answer, { type, id = null, data }) {
  const change = Object.hasOwn(CHANGES, type) ? CHANGES[type] : null;
  if (!change || isTerminal(answer.status) || !isNewer(id, answer.cursor)) return answer;
  return { ...answer, ...change(answer, data ?? {}), cursor: parseEventId(id) ? id : answer.cursor };
}
