// Waits that end early when the network or the reader comes back.

/**
 * @param {{window?: EventTarget, document?: Document, navigator?: Navigator}} [env]
 */
export function createWaker({
  window = globalThis.window, document = globalThis.document, navigator = globalThis.navigator,
} = {}) {
  /** Call `onOnline` when the network returns and `onVisible` when the page is shown again. */
  function listen({ onOnline, onVisible }) {
    const visible = () => document.visibilityState === "visible" && onVisible();
    window.addEventListener("online", onOnline);
    document.addEventListener("visibilitychange", visible);
    return () => {
      window.removeEventListener("online", onOnline);
      document.removeEventListener("visibilitychange", visible);
    };
  }

  /** Resolve after `ms`, or at once when woken or aborted. */
  const sleep = (ms, signal) =>
    new Promise((resolve) => {
      let stopListening = () => {};
      const finish = () => {
        clearTimeout(timer);
        stopListening();
        signal?.removeEventListener("abort", finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      stopListening = listen({ onOnline: finish, onVisible: finish });
      signal?.addEventListener("abort", finish);
      if (signal?.aborted) finish();
    });

  return {
    listen, sleep,
    /** What the browser believes: it may be offline and not know, or know nothing of a loopback. */
    isOffline: () => navigator.onLine === false,
    isHidden: () => document.visibilityState === "hidden",
  };
}
