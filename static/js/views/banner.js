// Why the last message was not sent, above the composer.

import { h, icon, iconButton } from "../dom.js";
import { explain } from "../errors.js";
import { drawSupport } from "./support.js";

/**
 * @param {HTMLElement} element  has role=alert
 * @param {{signInUrl: string}} options
 */
export function createBanner(element, { signInUrl }) {
  let ticking = 0;
  let shown = null;

  function hide() {
    clearInterval(ticking);
    element.hidden = true;
    element.replaceChildren();
    shown = null;
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
    const { title, text, action, support } = explain(error);
    // What stands there already would only be read out again.
    if (shown === error.code && (action === "signin" || action === "reload")) return;
    hide();
    // The moving number is not read out each second; the alert itself was read once.
    const words = h("p", { text, "aria-live": "off" });
    const here = `${location.pathname}${location.search}`;
    const wayOut = {
      signin: ["Sign in", `${signInUrl}?next=${encodeURIComponent(here)}`],
      reload: ["Reload", here],
    }[action];
    const link = wayOut && h("a", { class: "button button-small", text: wayOut[0], href: wayOut[1] });
    element.replaceChildren(icon("warning"), h("div", {}, h("strong", { text: title }), words, drawSupport(support)), link || "",
      iconButton("close", "Dismiss", hide));
    element.hidden = false;
    shown = error.code;
    if (action === "wait" && error.retryAfter) countDown(error, words);
  }

  return {
    show, hide,
    /** What is over need not be said any longer. */
    hideIf: (code) => shown === code && hide(),
  };
}
