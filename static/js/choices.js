// What a reader decides about the open conversation: how good an answer was, which model answers.
// Shown at once, and taken back when the server refuses.

import { patchMessage } from "./messages.js";

export function createChoices({ api, store, onTrouble }) {
  const path = (id, rest = "") => `/conversations/${id}${rest}`;

  /** Thumbs up or down, or null to take it back. True when the server has it. */
  async function rate({ key, seq }, rating, comment) {
    const { conversationId, messages: shown } = store.get();
    const previous = shown.find((one) => one.key === key)?.feedback ?? null;
    const setTo = (feedback) => store.set(({ messages }) => ({ messages: patchMessage(messages, key, { feedback }) }));
    setTo(rating ? { rating, comment } : null);
    try {
      await api.put(path(conversationId, `/messages/${seq}/feedback`), { rating, comment });
      return true;
    } catch (error) {
      setTo(previous);
      onTrouble(error);
      return false;
    }
  }

  /** Which model answers from now on. */
  async function setModel(model) {
    const { conversationId, model: previous } = store.get();
    store.set({ model });
    if (!conversationId) return;
    try {
      await api.patch(path(conversationId), { model });
    } catch (error) {
      if (store.get().conversationId === conversationId) store.set({ model: previous });
      onTrouble(error);
    }
  }

  return { rate, setModel };
}
