// Why the last message was not sent, above the composer.

import { h, icon, iconButton } from "../dom.js";
import { explain } from "../errors.js";

/**
 * @param {HTMLElement} element  has role=alert
 * @param {{signInUrl: string}} options
 */
export function createBanner(element, { signInUrl }) {
  let ticking = 0;

  function hide() {
    clearInterval(ticking);
    element.hidden = true;
    element.replaceChildren();
  }

  function countDown(error, text) {
    const until = Date.now() + error.retryAfter * 1000;
    ticking = setInterval(() => {
      const left = (until - Date.now()) / 1000;
      if (left <= 0) hide();
      else text.textContent = explain({ ...error, message: error.message, retryAfter: left }).text;
    }, 1000);
  }

  function show(error) {
    hide();
    const { title, text, action } = explain(error);
    // The moving number is not read out each second; the alert itself was read once.
    const words = h("p", { text, "aria-live": "off" });
    const next = `${location.pathname}${location.search}`;
    const link = action === "signin" &&
      h("a", { class: "button button-small", href: `${signInUrl}?next=${encodeURIComponent(next)}`, text: "Sign in" });
    element.replaceChildren(icon("warning"), h("div", {}, h("strong", { text: title }), words), link || "",
      iconButton("close", "Dismiss", hide));
    element.hidden = false;
    if (action === "wait" && error.retryAfter) countDown(error, words);
  }

  return { show, hide };
}
