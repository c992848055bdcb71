// Which of several versions of a message is shown, and the way to the others.

import { h, iconButton } from "../dom.js";

/** @param {(step: -1|1, seq: number) => void} show */
export function createVersions(show) {
  let siblings = [];
  let at = 0;
  const move = (step) => show(step, siblings[at + step]);
  const earlier = iconButton("back", "Earlier version", () => move(-1));
  const later = iconButton("forth", "Later version", () => move(1));
  const count = h("span", { class: "versions-count" });
  const element = h("div", { class: "versions", role: "group", "aria-label": "Versions" }, earlier, count, later);

  function update({ seq, siblings: known = [] }, { busy }) {
    siblings = known;
    at = siblings.indexOf(seq);
    element.hidden = at < 0;
    count.textContent = versionWords(siblings, seq);
    earlier.disabled = busy || at <= 0;
    later.disabled = busy || at >= siblings.length - 1;
  }

  /** Put the focus on the way on; on the way back where there is none. */
  function focus(step) {
    const [first, second] = step < 0 ? [earlier, later] : [later, earlier];
    (first.disabled ? second : first).focus({ preventScroll: true });
  }

  return { element, update, focus };
}

/** "2 of 3" */
export const versionWords = (siblings, seq) => `${siblings.indexOf(seq) + 1} of ${siblings.length}`;
