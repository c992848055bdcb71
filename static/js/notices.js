// News from other tabs and devices. A doorbell only: text never travels here.

import { retryDelay } from "./backoff.js";

const PING_MS = 25_000;

/**
 * Keep a socket open and hand over its notices.
 * @param {{url: string, onNotice: (frame: object) => void, waker: object}} options
 */
export async function listenForNotices({ url, onNotice, onReconnect = () => {}, waker }) {
  let failures = 0;

  const once = () =>
    new Promise((resolve) => {
      const socket = new WebSocket(url);
      let pinging = 0;
      socket.addEventListener("open", () => {
        if (failures) onReconnect();
        failures = 0;
        pinging = setInterval(() => socket.send('{"type":"ping"}'), PING_MS);
      });
      socket.addEventListener("message", ({ data }) => {
        let frame;
        try {
          frame = JSON.parse(data);
        } catch {
          return;
        }
        if (frame.type !== "ping" && frame.type !== "pong") onNotice(frame);
      });
      socket.addEventListener("close", ({ code }) => {
        clearInterval(pinging);
        resolve(code);
      });
    });

  for (;;) {
    const code = await once();
    // 4401 and 4403: signed out or not allowed; asking again changes nothing.
    if (code === 4401 || code === 4403) return;
    failures += 1;
    await waker.sleep(1000 + retryDelay(failures));
  }
}
