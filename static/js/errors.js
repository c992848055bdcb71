// Refusals in words: what happened, and what the reader can do. Pure.

import { duration, longDate } from "./time.js";

/**
 * @param {{code: string, message: string, status: number, retryAfter: number|null, detail: any}} error
 * @returns {{title: string, text: string, action: "signin"|"wait"|"reload"|null, support?: string|null}}
 *   `support` is Markdown that is always shown with the rest: who wrote this may need help
 */
export function explain(error) {
  const { status, code, message, retryAfter, detail } = error;
  if (code === "network") {
    return { title: "No connection", text: "Your message is kept here. Try again when you are back online.", action: null };
  }
  if (code === "generation_active") {
    return { title: "Still answering", text: "Your message is kept here. Send it when this answer is finished.", action: null };
  }
  if (code === "csrf_failed") {
    return { title: "Signed in anew", text: "Reload the page to go on. Your text is kept in this tab.", action: "reload" };
  }
  if (status === 401) {
    return { title: "You are signed out", text: "Sign in again to go on. Your text is kept in this tab.", action: "signin" };
  }
  if (status === 402) {
    const when = detail?.resetsAt ? ` It resets on ${longDate(detail.resetsAt)}.` : "";
    const title = detail?.remaining ? "Not enough budget left" : "Budget used up";
    return { title, text: `${message}${when}`, action: null };
  }
  if (status === 413) {
    return { title: "Too long", text: message || "This message is too long. Please shorten it.", action: null };
  }
  if (status === 422) {
    return { title: "Not accepted", text: message, action: null, support: detail?.supportMessage ?? null };
  }
  if (status === 429) {
    const wait = retryAfter ? ` You can send again in ${duration(retryAfter)}.` : "";
    if (detail?.window === "day") {
      return { title: "That was the day’s last", text: `You may send ${detail.limit} messages a day.${wait}`, action: "wait" };
    }
    return { title: "A little too fast", text: `You have sent many messages in a short time.${wait}`, action: "wait" };
  }
  if (status === 503) {
    const wait = retryAfter ? ` Try again in ${duration(retryAfter)}.` : "";
    return { title: "Very busy right now", text: `${message}${wait}`, action: "wait" };
  }
  if (status === 404) return { title: "Not found", text: message, action: null };
  return { title: "Something went wrong", text: message, action: null };
}
