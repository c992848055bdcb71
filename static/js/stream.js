// Follow one generation to its end, through every cut of the connection.

import { ApiError } from "./api.js";
import { retryDelay } from "./backoff.js";
import { isNewer, isTerminal } from "./reducer.js";
import { createSseParser } from "./sse.js";

// The server sends a comment every 15 s; two lost beats still fit.
const SILENCE_MS = 40_000;
// After the page was hidden, a connection without a recent beat is not worth trusting.
const STALE_MS = 20_000;
const MAX_SERVER_ERRORS = 6;

const isServerTrouble = (error) => error.status === 429 || error.status >= 500;
// These come from a proxy that lost the server, so the outcome of a POST is unknown.
const isGatewayTrouble = (error) => error.status === 502 || error.status === 504;

/**
 * Send (when `submit` is given) and read events until the terminal one.
 *
 * A POST that failed before any answer is repeated under the same idempotency key. Once the
 * generation's id is known, every later connection resumes after the last event id.
 *
 * @param {object} options
 * @param {{open: Function}} options.api
 * @param {{path: string, body: object, key: string}|null} [options.submit]
 * @param {string|null} [options.generationId]
 * @param {string|null} [options.cursor]      last event id already applied
 * @param {(event: {type: string, id: string, data: object}) => void} options.onEvent
 * @param {(phase: "connecting"|"open"|"reconnecting") => void} [options.onPhase]
 * @param {(generationId: string) => void} [options.onAccepted]
 * @param {AbortSignal} [options.signal]
 * @param {object} options.waker               see wake.js
 * @returns {Promise<"ended"|"gone">} "gone" when the server has nothing more to say
 */
export async function followAnswer({
  api, submit = null, generationId = null, cursor = null, onEvent, onPhase = () => {},
  onAccepted = () => {}, signal, waker, random = Math.random, now = Date.now,
}) {
  let id = generationId;
  let failures = 0;

  const connect = (connection) => {
    const headers = { accept: "text/event-stream" };
    if (!id) {
      headers["idempotency-key"] = submit.key;
      const { path, body } = submit;
      return api.open(path, { method: "POST", body, headers, signal: connection });
    }
    if (cursor) headers["last-event-id"] = cursor;
    return api.open(`/generations/${id}/events`, { headers, signal: connection });
  };

  const take = ({ event, data, id: eventId }) => {
    let parsed;
    try {
      parsed = JSON.parse(data);
    } catch {
      return false;
    }
    failures = 0;
    if (!id && event === "started") onAccepted((id = parsed.generationId));
    onEvent({ type: event, id: eventId, data: parsed });
    if (eventId && isNewer(eventId, cursor)) cursor = eventId;
    return isTerminal(event);
  };

  const readOnce = async () => {
    const connection = new AbortController();
    const cut = () => connection.abort();
    let lastByte = now();
    const stopWaking = waker.listen({
      onOnline: cut,
      onVisible: () => now() - lastByte > STALE_MS && cut(),
    });
    let watchdog = setTimeout(cut, SILENCE_MS);
    signal?.addEventListener("abort", cut);
    try {
      const response = await connect(connection.signal);
      if (!id) id = response.headers.get("x-generation-id");
      if (response.status === 204) return "gone";
      if (!(response.headers.get("content-type") ?? "").includes("text/event-stream")) {
        id = (await response.json()).generationId ?? id;
        onAccepted(id);
        return "cut";
      }
      if (id) onAccepted(id);
      onPhase("open");
      const parser = createSseParser();
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return "cut";
        lastByte = now();
        clearTimeout(watchdog);
        watchdog = setTimeout(cut, SILENCE_MS);
        for (const event of parser.push(value)) {
          if (take(event)) return "ended";
        }
      }
    } finally {
      clearTimeout(watchdog);
      stopWaking();
      signal?.removeEventListener("abort", cut);
      connection.abort();
    }
  };

  onPhase("connecting");
  for (;;) {
    signal?.throwIfAborted();
    let retryAfterS = null;
    const resuming = Boolean(id);
    try {
      const end = await readOnce();
      if (end !== "cut") return end;
      // The first connection of a resumed answer is not a failure to wait for.
      if (!resuming && id && failures === 0) {
        failures = 1;
        onPhase("reconnecting");
        continue;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof ApiError && error.status) {
        const worthRetrying = resuming ? isServerTrouble(error) : isGatewayTrouble(error);
        if (!worthRetrying || failures >= MAX_SERVER_ERRORS) throw error;
        retryAfterS = error.retryAfter;
      }
    }
    onPhase("reconnecting");
    await waker.sleep(retryDelay(failures, { retryAfterS, random }), signal);
    failures += 1;
  }
}
