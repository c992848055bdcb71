// One answer at a time: send or regenerate, follow it, stop it, settle it.

import { ApiError } from "./api.js";
import { matchesStored } from "./digest.js";
import { throttleToFrame } from "./dom.js";
import { patchMessage, settleAnswer } from "./messages.js";
import { applyEvent, emptyAnswer } from "./reducer.js";
import { followAnswer } from "./stream.js";

/**
 * @param {object} deps
 * @param {(answer: object) => void} deps.onSettled   the answer is over and shown
 * @param {() => Promise<void>} deps.reload           fetch the conversation again
 */
export function createAnswering({ api, store, waker, onSettled, reload, onTrouble }) {
  let current = null;

  const publish = (job) => {
    if (job !== current) return;
    const live = { answer: job.answer, phase: job.phase, stopping: job.stopping };
    store.set(({ messages }) => ({
      live: { generationId: job.generationId, stopping: job.stopping },
      messages: patchMessage(messages, job.key, { live, content: job.answer.text }),
    }));
  };

  const release = (job) => {
    if (job !== current) return false;
    current = null;
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
    store.set(({ messages }) => ({
      live: null,
      messages: settleAnswer(messages, key, userKey, answer),
    }));
    onSettled(answer);
    const whole = answer.message?.seq !== undefined && (await matchesStored(answer));
    if (!whole) await reload().catch(() => {});
  }

  /**
   * Follow an answer to its end. Resolves when it is settled, detached or refused; rejects with
   * ApiError when it was refused before it was accepted, and the caller takes its messages back.
   *
   * @param {{key: string, userKey?: string|null, submit?: object|null,
   *          generationId?: string|null, onAccepted?: () => void}} target
   */
  async function follow({ key, userKey = null, submit = null, generationId = null, onAccepted = () => {} }) {
    detach();
    const job = {
      key, userKey, generationId, phase: "connecting", stopping: false,
      answer: emptyAnswer({ generationId }), abort: new AbortController(), refuse: null,
    };
    current = job;
    publish(job);
    const redraw = throttleToFrame(() => publish(job));
    try {
      const end = await followAnswer({
        api, submit, generationId, waker, signal: job.abort.signal,
        onEvent(event) {
          job.answer = applyEvent(job.answer, event);
          redraw();
        },
        onPhase(phase) {
          job.phase = phase;
          redraw();
        },
        onAccepted(id) {
          if (job.generationId) return;
          job.generationId = id;
          onAccepted();
          publish(job);
          if (job.stopping) askToStop(job);
        },
      });
      if (end === "ended") await settle(job);
      else if (release(job)) {
        // Over before it could be followed; the conversation has the answer.
        onAccepted();
        store.set({ live: null });
        await reload();
      }
    } catch (error) {
      if (job.refuse) throw job.refuse;
      if (!release(job)) return;
      store.set({ live: null });
      if (!(error instanceof ApiError)) throw error;
      if (!job.generationId) throw error;
      onTrouble(error);
      await reload().catch(() => {});
    }
  }

  /** Ask the server to stop; what was never accepted is taken back at once. */
  function stop() {
    const job = current;
    if (!job || job.stopping) return;
    job.stopping = true;
    publish(job);
    if (job.generationId) askToStop(job);
    else if (job.phase === "reconnecting") {
      job.refuse = new ApiError({ code: "network", message: "The connection was lost." });
      release(job);
      store.set({ live: null });
      job.abort.abort();
    }
  }

  /** Stop following, not the answer: it goes on at the server. */
  function detach() {
    const job = current;
    if (!job) return;
    current = null;
    store.set({ live: null });
    job.abort.abort();
  }

  return { follow, stop, detach, isFollowing: (id) => Boolean(current) && current.generationId === id };
}
