// The month's budget: kept in the store, and in words.

import { longDate } from "./time.js";

// The words of the warning change at these percentages only: they are read out each time.
const STEPS = [95, 90, 80];

/**
 * How much is used, and a warning from 80 % on.
 * @param {{limit: number, reserved: number, spent: number, resetsAt: string}} budget
 * @returns {{share: number, words: string, warning: string}}
 */
export function describeBudget({ limit, reserved, spent, resetsAt }) {
  const share = limit ? Math.min(1, (spent + reserved) / limit) : 1;
  const words = `${Math.round(share * 100)}% of this month’s budget used, resets ${longDate(resetsAt)}`;
  // What is only set aside for open answers comes back for the most part.
  const percent = limit ? (100 * spent) / limit : 100;
  const step = STEPS.find((one) => percent >= one);
  const reset = ` It resets on ${longDate(resetsAt)}.`;
  if (percent >= 100) return { share, words, warning: `This month’s budget is used up.${reset}` };
  return { share, words, warning: step ? `More than ${step}% of this month’s budget is used.${reset}` : "" };
}

/** Return what asks for the budget anew; calls that come while it is asked for make one more. */
export function createBudgetRefresh({ api, store }) {
  let asking = null;
  let isStale = false;

  async function ask() {
    do {
      isStale = false;
      try {
        const { budget } = await api.get("/me");
        store.set({ budget });
      } catch {
        return; // What is shown stays; the next answer asks again.
      }
    } while (isStale);
  }

  return function refresh() {
    isStale = true;
    asking ??= ask().finally(() => {
      asking = null;
    });
    return asking;
  };
}
