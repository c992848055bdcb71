// Follow one generation to its end, through every cut and every blocked connection.

import { ApiError } from "./api.js";
import { retryDelay } from "./backoff.js";
import { isNewer, isTerminal } from "./reducer.js";

// The server gives a sign of life every 15 s; two lost ones still fit.
const SILENCE_MS = 40_000;
// After the page was hidden, a connection without a recent sign is not worth trusting.
const STALE_MS = 20_000;
// A message that a busy server refuses is offered again a few times, then it is the reader's.
const MAX_BUSY = 4;
const MAX_BUSY_WAIT_S = 60;

// These come from a proxy that lost the server, so the outcome of a POST is unknown.
const isGatewayTrouble = ({ status }) => status === 502 || status === 504;
const isBusy = ({ status, retryAfter }) => status === 503 && retryAfter > 0 && retryAfter <= MAX_BUSY_WAIT_S;
// An error without a body of ours was written by something in between.
const isForeign = ({ code }) => code.startsWith("http_");

function isFinal(error, { resuming, busy }) {
  if (!resuming) return !isGatewayTrouble(error) && !(isBusy(error) && busy < MAX_BUSY);
  return error.status < 500 && error.status !== 429 && !isForeign(error);
}

/**
 * @typedef {object} Line   the state of the connection
 * @property {"connecting"|"waiting"|"open"} state
 * @property {number} [until]   when a wait ends
 * @property {boolean} [busy]   the server asked to wait
 * @property {boolean} [again]  not the first connection of this answer
 * @property {boolean} [moved]  the answer goes on over another transport
 * @property {string} [via]
 */

/**
 * Send (when `submit` is given) and read events until the terminal one.
 *
 * What failed before the generation's id was known is sent again under the same idempotency key,
 * over whichever transport. Once it is known, every connection resumes after the last event id.
 *
 * @param {object} options
 * @param {object} options.transports   see transports/choice.js
 * @param {string} options.conversationId
 * @param {{path: string, body: object, frame: object, key: string}|null} [options.submit]
 * @param {string|null} [options.generationId]
 * @param {string|null} [options.cursor]      last event id already applied
 * @param {(event: {type: string, id: string, data: object}) => void} options.onEvent
 * @param {(line: Line) => void} [options.onLine]
 * @param {(generationId: string) => void} [options.onAccepted]
 * @param {() => void} [options.onRestart]    the server does not know the cursor: begin again
 * @param {AbortSignal} [options.signal]
 * @param {object} options.waker               see wake.js
 * @returns {Promise<"ended"|"gone">} "gone" when the server has nothing more to say
 */
export async function followAnswer({
  transports, conversationId, submit = null, generationId = null, cursor = null, onEvent, onLine = () => {},
  onAccepted = () => {}, onRestart = () => {}, signal, waker, random = Math.random, now = Date.now,
}) {
  let id = generationId;
  let failures = 0;
  let busy = 0;
  let tries = 0;
  let last = null;

  const accept = (known) => {
    if (id || !known) return;
    id = known;
    onAccepted(id);
  };

  /** One connection, to its end. */
  async function readOnce(transport) {
    const connection = new AbortController();
    const started = now();
    const how = { end: "cut", error: null, heard: false, silent: false, lastedMs: 0 };
    let lastSign = started;
    let watchdog = 0;
    const cut = () => connection.abort();
    const watch = (ms) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => {
        how.silent = !how.heard;
        cut();
      }, ms);
    };
    const take = (event) => {
      if (connection.signal.aborted) return;
      failures = 0;
      onEvent(event);
      if (event.id && isNewer(event.id, cursor)) cursor = event.id;
      if (!isTerminal(event.type)) return;
      how.end = "ended";
      cut();
    };
    const onAlive = () => {
      if (connection.signal.aborted) return;
      lastSign = now();
      watch(SILENCE_MS);
      if (how.heard) return;
      how.heard = true;
      transports.isAlive();
      onLine({ state: "open", via: transport.name, again: tries > 1, moved: Boolean(last) && last !== transport });
      last = transport;
    };
    const stopWaking = waker.listen({
      onOnline: cut,
      onVisible: () => now() - lastSign > STALE_MS && cut(),
    });
    signal?.addEventListener("abort", cut);
    watch(transports.patienceMs());
    try {
      const end = await transport.read({
        submit, generationId: id, conversationId, cursor, signal: connection.signal,
        onAlive, onAccepted: accept, onEvent: take,
      });
      if (how.end !== "ended") how.end = end;
      // A plain request came through: it is the streams that are blocked, not the server that is away.
      if (transport.isLastResort) failures = 0;
    } catch (error) {
      if (error instanceof ApiError && error.status) how.error = error;
    } finally {
      how.lastedMs = now() - started;
      clearTimeout(watchdog);
      stopWaking();
      signal?.removeEventListener("abort", cut);
      connection.abort();
    }
    return how;
  }

  /** What a refusal means: rejects with it, or resolves to say that it is worth another try. */
  function judge(error, resuming) {
    if (error.code === "invalid_cursor" && cursor) {
      cursor = null;
      onRestart();
    } else if (isFinal(error, { resuming, busy })) throw error;
    else if (!resuming && isBusy(error)) busy += 1;
  }

  onLine({ state: "connecting" });
  for (;;) {
    signal?.throwIfAborted();
    const resuming = Boolean(id);
    const transport = transports.current();
    tries += 1;
    const { end, error, heard, silent, lastedMs } = await readOnce(transport);
    if (end === "ended" || end === "gone") {
      transports.worked();
      return end;
    }
    signal?.throwIfAborted();
    if (error) judge(error, resuming);
    last ??= transport;
    // Offline nothing works, and that says nothing about the way.
    const counts = !waker.isOffline() && (!error || isForeign(error));
    const moved = counts && transports.broke({ silent, lastedMs });
    // A message just accepted, by a reply without a stream: its answer is asked for at once. Where a
    // stream had begun, the server may have cut a crowd of them, which must not return as one.
    const isAccepted = !resuming && id && !heard && failures === 0;
    if ((moved && silent) || isAccepted) {
      failures += 1;
      onLine({ state: "connecting", again: true });
      continue;
    }
    const delay = retryDelay(failures, { retryAfterS: error?.retryAfter, random });
    onLine({ state: "waiting", until: now() + delay, busy: Boolean(error && isBusy(error)), again: true });
    await waker.sleep(delay, signal);
    onLine({ state: "connecting", again: true });
    failures += 1;
  }
}
