// One answer at a time: send or regenerate, follow it, stop it, settle it.

import { ApiError } from "./api.js";
import { matchesStored } from "./digest.js";
import { throttleToFrame } from "./dom.js";
import { describeLive } from "./livewords.js";
import { patchMessage, settleAnswer } from "./messages.js";
import { applyEvent, emptyAnswer } from "./reducer.js";
import { followAnswer } from "./stream.js";

const TICK_MS = 1_000;

const isSame = (a, b) => Boolean(a && b) && a.answer === b.answer && a.state.kind === b.state.kind
  && a.state.text === b.state.text;

/**
 * @param {object} deps
 * @param {object} deps.transports                    see transports/choice.js
 * @param {(answer: object) => void} deps.onSettled   the answer is over and shown
 * @param {(state: object|null) => void} deps.onState how it fares, in words; null when it is over
 * @param {() => Promise<void>} deps.reload           fetch the conversation again
 */
export function createAnswering({ api, transports, store, waker, onSettled, onState, reload, onTrouble }) {
  let current = null;

  const describe = ({ answer, line, stopping, heardAt, openedAt }) =>
    describeLive({ answer, line, stopping, heardAt, openedAt, offline: waker.isOffline(), now: Date.now() });

  const publish = (job) => {
    if (job !== current) return;
    const live = { answer: job.answer, state: describe(job) };
    if (isSame(live, job.shown)) return;
    job.shown = live;
    store.set(({ messages }) => ({
      live: { generationId: job.generationId, stopping: job.stopping },
      messages: patchMessage(messages, job.key, { live, content: job.answer.text }),
    }));
    onState(live.state);
  };

  const release = (job) => {
    if (job !== current) return false;
    current = null;
    clearInterval(job.ticking);
    store.set({ live: null });
    onState(null);
    return true;
  };

  async function askToStop(job) {
    try {
      await api.post(`/generations/${job.generationId}/stop`);
    } catch (error) {
      if (job !== current || error.status === 404) return;
      job.stopping = false;
      publish(job);
      onTrouble(error);
    }
  }

  async function settle(job) {
    const { answer, key, userKey } = job;
    if (!release(job)) return;
    store.set(({ messages }) => ({ messages: settleAnswer(messages, key, userKey, answer) }));
    onSettled(answer);
    const whole = answer.message?.seq !== undefined && (await matchesStored(answer));
    if (!whole) await reload().catch(() => {});
  }

  /** Keep what was shown of an answer that cannot be followed to its end, and say so. */
  function leave(job) {
    if (!release(job)) return false;
    store.set(({ messages }) => ({ messages: patchMessage(messages, job.key, { live: null, status: "lost" }) }));
    return true;
  }

  /** Give up a message of which nobody knows whether it arrived. */
  function takeBack(job) {
    if (!release(job)) return;
    job.refuse = new ApiError({ code: "network", message: "The connection was lost." });
    job.abort.abort();
  }

  function begin({ key, userKey, generationId }) {
    detach();
    const now = Date.now();
    const job = {
      key, userKey, generationId, line: { state: "connecting" }, stopping: false, heardAt: now, openedAt: now,
      answer: emptyAnswer({ generationId }), abort: new AbortController(), refuse: null, shown: null, ticking: 0,
    };
    current = job;
    // Words such as "in 4 s" move without any event.
    job.ticking = setInterval(() => publish(job), TICK_MS);
    publish(job);
    return job;
  }

  /**
   * Follow an answer to its end. Resolves when it is settled, detached or refused; rejects with
   * ApiError when it was refused before it was accepted, and the caller takes its messages back.
   *
   * @param {{key: string, userKey?: string|null, submit?: object|null,
   *          generationId?: string|null, onAccepted?: () => void}} target
   */
  async function follow({ key, userKey = null, submit = null, generationId = null, onAccepted = () => {} }) {
    const job = begin({ key, userKey, generationId });
    const redraw = throttleToFrame(() => publish(job));
    try {
      const end = await followAnswer({
        transports, submit, generationId, waker, signal: job.abort.signal,
        conversationId: store.get().conversationId,
        onEvent(event) {
          job.answer = applyEvent(job.answer, event);
          job.heardAt = Date.now();
          redraw();
        },
        onLine(line) {
          job.line = line;
          if (line.state === "open") job.openedAt = Date.now();
          if (job.stopping && !job.generationId && line.state === "waiting") takeBack(job);
          else redraw();
        },
        onRestart() {
          job.answer = emptyAnswer({ generationId: job.generationId });
        },
        onAccepted(id) {
          job.generationId = id;
          job.answer = { ...job.answer, generationId: id };
          onAccepted();
          publish(job);
          if (job.stopping) askToStop(job);
        },
      });
      if (end === "ended") await settle(job);
      else if (leave(job)) await reload();
    } catch (error) {
      if (job.refuse) throw job.refuse;
      if (job !== current) return;
      if (!(error instanceof ApiError) || !job.generationId) {
        release(job);
        throw error;
      }
      leave(job);
      onTrouble(error);
    }
  }

  /** Ask the server to stop; what was never accepted is taken back at once. */
  function stop() {
    const job = current;
    if (!job || job.stopping) return;
    if (!job.generationId && (job.line.again || waker.isOffline())) {
      takeBack(job);
      return;
    }
    job.stopping = true;
    publish(job);
    if (job.generationId) askToStop(job);
  }

  /** Stop following, not the answer: it goes on at the server. */
  function detach() {
    const job = current;
    if (job && release(job)) job.abort.abort();
  }

  return {
    follow, stop, detach,
    isFollowing: (id) => Boolean(current) && current.generationId === id,
    /** Lay the live answer over messages that were fetched again, where it stands among them now. */
    redraw(key) {
      if (!current) return;
      if (key) current.key = key;
      current.shown = null;
      publish(current);
    },
  };
}
