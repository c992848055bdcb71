// How much of this month's budget is used, in the account menu.

import { longDate } from "../time.js";

/** Fetch and show it each time the menu opens. */
export function createUsage(element, { api, details }) {
  const bar = element.querySelector("progress");
  const words = element.querySelector("[data-usage-words]");

  details.addEventListener("toggle", async () => {
    if (!details.open) return;
    try {
      const { budget } = await api.get("/me");
      const used = budget.limit ? Math.min(1, (budget.spent + budget.reserved) / budget.limit) : 0;
      bar.value = used;
      const reset = budget.resetsAt ? `, resets ${longDate(budget.resetsAt)}` : "";
      words.textContent = `${Math.round(used * 100)}% of this month’s budget used${reset}`;
      element.hidden = false;
    } catch {
      element.hidden = true;
    }
  });
}
