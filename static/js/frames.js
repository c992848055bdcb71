// A WebSocket of JSON frames, from its opening to its close.

// Application close codes (RFC 6455, section 7.4.2): signed out, and not allowed.
export const CLOSE_SIGNED_OUT = 4401;
export const CLOSE_FORBIDDEN = 4403;

const NEVER_OPENED = { code: 1006, opened: false };

const parse = (data) => {
  try {
    const frame = JSON.parse(data);
    return frame && typeof frame === "object" ? frame : null;
  } catch {
    return null;
  }
};

/**
 * Resolves with the close code once the socket is closed, or at once when aborted: nothing is
 * handed over after that, however long the closing itself takes on a dead network.
 *
 * @param {object} options
 * @param {string} options.url
 * @param {AbortSignal} [options.signal]
 * @param {(send: (frame: object) => void) => void} options.onOpen
 * @param {(frame: object) => void} options.onFrame
 * @returns {Promise<{code: number, opened: boolean}>}
 */
export function exchangeFrames({ url, signal, onOpen, onFrame, WebSocket = globalThis.WebSocket }) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve(NEVER_OPENED);
    let socket;
    try {
      socket = new WebSocket(url);
    } catch {
      // Refused before it was tried, by a policy of the browser.
      return resolve(NEVER_OPENED);
    }
    let opened = false;
    let over = false;
    const finish = (code) => {
      if (over) return;
      over = true;
      signal?.removeEventListener("abort", abort);
      resolve({ code, opened });
    };
    const abort = () => {
      finish(1000);
      socket.close();
    };
    signal?.addEventListener("abort", abort);
    socket.addEventListener("open", () => {
      if (over) return;
      opened = true;
      onOpen((frame) => socket.readyState === 1 && socket.send(JSON.stringify(frame)));
    });
    socket.addEventListener("message", ({ data }) => {
      const frame = over ? null : parse(data);
      if (frame) onFrame(frame);
    });
    socket.addEventListener("close", ({ code }) => finish(code));
    return undefined;
  });
}
