// News from other tabs and devices. A doorbell only: text never travels here.

import { retryDelay } from "./backoff.js";
import { CLOSE_FORBIDDEN, CLOSE_SIGNED_OUT, exchangeFrames } from "./frames.js";

// The server gives a sign of life every 15 s; two lost ones still fit.
const SILENCE_MS = 40_000;
const OPENING_MS = 8_000;
// Without a socket the page looks for itself, this often at most.
const POLL_MS = 10_000;
// Signed out or not allowed: asking again soon changes nothing.
const REFUSED_MS = 60_000;
// Everybody's notices may have been missed at one instant; not everybody asks at one.
const SPREAD_MS = 5_000;

/**
 * Keep a socket open and hand over its notices. `onGap` is called whenever some may have been
 * missed: once the socket has answered, before each new try while it cannot be opened, and where
 * the server says so.
 * @param {object} options
 * @param {string} options.url
 * @param {(frame: object) => void} options.onNotice
 * @param {(gap: {first: boolean}) => void} options.onGap
 * @param {(code: number) => void} [options.onRefused]
 * @param {object} options.waker  see wake.js
 */
export async function listenForNotices({
  url, onNotice, onGap, onRefused = () => {}, waker, signal, WebSocket, random = Math.random,
}) {
  let failures = 0;
  let first = true;
  let isLate = false;

  async function lookSoon() {
    if (isLate) return;
    isLate = true;
    await waker.sleep(random() * SPREAD_MS, signal);
    isLate = false;
    if (!signal?.aborted) onGap({ first: false });
  }

  async function listenOnce() {
    const connection = new AbortController();
    const cut = () => connection.abort();
    const watch = (ms) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(cut, ms);
    };
    let watchdog = 0;
    let isOpen = false;
    watch(OPENING_MS);
    const stopWaking = waker.listen({ onOnline: cut, onVisible: () => {} });
    signal?.addEventListener("abort", cut);
    const closed = await exchangeFrames({
      url, WebSocket, signal: connection.signal,
      // A socket that opens says little: it may be closed, or swallowed, right behind the opening.
      onOpen: (send) => send({ type: "ping" }),
      onFrame(frame) {
        watch(SILENCE_MS);
        if (!isOpen) {
          isOpen = true;
          failures = 0;
          onGap({ first });
          first = false;
        }
        if (frame.type === "notices.missed") lookSoon();
        else if (frame.type !== "ping" && frame.type !== "pong") onNotice(frame);
      },
    });
    clearTimeout(watchdog);
    stopWaking();
    signal?.removeEventListener("abort", cut);
    return closed;
  }

  while (!signal?.aborted) {
    const { code } = await listenOnce();
    const isRefused = code === CLOSE_SIGNED_OUT || code === CLOSE_FORBIDDEN;
    if (isRefused) onRefused(code);
    const pause = 1000 + Math.min(retryDelay(failures, { random }), POLL_MS);
    failures += 1;
    await waker.sleep(isRefused ? REFUSED_MS : pause, signal);
    if (!isRefused && failures > 1 && !waker.isHidden() && !signal?.aborted) onGap({ first: false });
  }
}
