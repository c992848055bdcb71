// The state of an answer that is being written, in words. Pure.

import { queueWords } from "./time.js";

// Longer than a model usually thinks, shorter than a reader's doubt.
const SLOW_MS = 10_000;
const RESUMED_MS = 4_000;
// Text that still comes contradicts a browser that believes itself offline.
const OFFLINE_MS = 1_500;

const seconds = (ms) => Math.ceil(ms / 1000);

function lineWords({ line, now }) {
  const left = line.state === "waiting" ? seconds(line.until - now) : 0;
  if (line.busy && left > 0) return ["busy", `Very busy right now. Trying again in ${left} s`];
  return ["reconnecting", left > 1 ? `Reconnecting in ${left} s` : "Reconnecting…"];
}

/**
 * @typedef {"stopping"|"offline"|"busy"|"reconnecting"|"connecting"|"resumed"|"queued"|"slow"
 *           |"writing"|"thinking"} Kind
 * @param {object} live
 * @param {import("./reducer.js").Answer} live.answer
 * @param {import("./stream.js").Line} live.line
 * @param {boolean} live.stopping
 * @param {boolean} live.offline
 * @param {number} live.heardAt   when the last event came
 * @param {number} live.openedAt  when the connection opened
 * @param {number} live.now
 * @returns {{kind: Kind, text: string}}
 */
export function describeLive(live) {
  const { answer, line, stopping, offline, heardAt, openedAt, now } = live;
  const say = (kind, text) => ({ kind, text });
  if (stopping) return say("stopping", "Stopping…");
  if (offline && (line.state !== "open" || now - heardAt > OFFLINE_MS)) {
    return say("offline", answer.generationId
      ? "You are offline. The answer goes on meanwhile"
      : "You are offline. Your message will be sent when you are back");
  }
  if (line.state === "waiting" || (line.state === "connecting" && line.again)) return say(...lineWords(live));
  if (line.state === "connecting") return say("connecting", "Connecting…");
  if (line.moved && now - openedAt < RESUMED_MS) return say("resumed", "Resumed on another connection");
  if (answer.status === "queued") return say("queued", queueWords(answer.queue));
  if (now - Math.max(heardAt, openedAt) > SLOW_MS) return say("slow", "Taking longer than usual – still working");
  if (answer.status === "streaming") return say("writing", "The answer is being written");
  return say("thinking", "Thinking…");
}
