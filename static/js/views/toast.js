// Short messages that leave by themselves.

import { h, iconButton } from "../dom.js";

const SHOWN_MS = 6000;

/** @param {HTMLElement} region */
export function createToasts(region) {
  /** @param {string} text */
  return function toast(text, { kind = "info" } = {}) {
    const leave = () => {
      clearTimeout(timer);
      element.remove();
    };
    const element = h("div", { class: `toast toast-${kind}` }, h("p", { text }), iconButton("close", "Dismiss", leave));
    const arm = () => setTimeout(leave, SHOWN_MS);
    let timer = arm();
    // Nobody loses a message while reading it.
    for (const type of ["pointerenter", "focusin"]) element.addEventListener(type, () => clearTimeout(timer));
    for (const type of ["pointerleave", "focusout"]) {
      element.addEventListener(type, () => {
        clearTimeout(timer);
        timer = arm();
      });
    }
    region.append(element);
    while (region.children.length > 3) region.firstElementChild.remove();
  };
}
