// How much of this month's budget is used: a meter in the account menu, and a warning when it ends.

import { describeBudget } from "../budget.js";
import { icon } from "../dom.js";

/** Show it, and ask for it anew each time the menu opens. */
export function createUsage(element, { store, details, refresh }) {
  const bar = element.querySelector("progress");
  const text = element.querySelector("[data-usage-words]");

  details.addEventListener("toggle", () => details.open && refresh());
  store.watch(["budget"], ({ budget }) => {
    element.hidden = !budget;
    if (!budget) return;
    const { share, words } = describeBudget(budget);
    bar.value = share;
    text.textContent = words;
  });
}

/** @param {HTMLElement} element  has role=status, so that it is read out when it changes */
export function createBudgetWarning(element, { store }) {
  let shown = "";
  store.watch(["budget"], ({ budget }) => {
    const warning = budget ? describeBudget(budget).warning : "";
    if (warning === shown) return;
    shown = warning;
    element.replaceChildren(...(warning ? [icon("warning"), warning] : []));
  });
}
