// An answer over a WebSocket, for networks that hold back or cut HTTP streams.

import { ApiError, statusOf } from "../api.js";
import { CLOSE_FORBIDDEN, CLOSE_SIGNED_OUT, exchangeFrames } from "../frames.js";

const refusal = ({ code, message, retryAfter, detail }) =>
  new ApiError({ code, message, retryAfter, detail, status: statusOf(code) });

const CLOSED = {
  [CLOSE_SIGNED_OUT]: { code: "unauthenticated", message: "Sign in to go on." },
  [CLOSE_FORBIDDEN]: { code: "forbidden", message: "You may not do this." },
};

/**
 * See `transports/choice.js` for what a transport promises.
 *
 * Each reading has a socket of its own. On a shared one, what an earlier reading still had under
 * way would mix with the replay of a later one, whose gathered deltas overlap it.
 */
export function createSocketTransport({ url, WebSocket }) {
  async function read({ submit, generationId, cursor, signal, onAlive, onAccepted, onEvent }) {
    const reading = new AbortController();
    const close = () => reading.abort();
    signal.addEventListener("abort", close);
    let id = generationId;
    let refused = null;
    let isOver = false;

    const take = ({ type, ...frame }) => {
      onAlive();
      if (type === "accepted") onAccepted((id = frame.generationId));
      else if (type === "error") {
        refused = refusal(frame.error ?? {});
        close();
      } else if (type === "over" && frame.generationId === id) {
        isOver = true;
        close();
      } else if (frame.id && frame.generationId === id) {
        onEvent({ type, id: frame.id, data: frame });
      }
    };

    const { code } = await exchangeFrames({
      url, WebSocket, signal: reading.signal, onFrame: take,
      onOpen(send) {
        if (!id) send({ ...submit.frame, clientId: submit.key });
        else send({ type: "resume", generationId: id, ...(cursor && { after: cursor }) });
        // Its pong is the sign of life that an answer in the queue does not give.
        send({ type: "ping" });
      },
    });
    signal.removeEventListener("abort", close);
    if (refused) throw refused;
    if (CLOSED[code]) throw refusal(CLOSED[code]);
    return isOver ? "gone" : "cut";
  }

  return { name: "socket", read };
}
