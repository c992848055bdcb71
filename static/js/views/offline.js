// Says above the composer that there is no network, for as long as that is so.

const WORDS = "You are offline. What you write is kept here.";

/** @param {HTMLElement} element  has role=status, so that it is read out when it changes */
export function watchOffline(element, { waker, window = globalThis.window }) {
  const draw = () => {
    element.textContent = waker.isOffline() ? WORDS : "";
  };
  window.addEventListener("offline", draw);
  window.addEventListener("online", draw);
  draw();
}
