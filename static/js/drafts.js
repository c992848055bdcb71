// What was typed and not yet accepted, per conversation, for the life of the tab.

const keyOf = (conversationId) => `parley:draft:${conversationId || "new"}`;

/**
 * @typedef {{text: string, sent: {text: string, parentSeq?: number|null, key: string}|null}} Draft
 * `sent` is a message under way: the same text sent again reuses its idempotency key, so that
 * an answer lost on the network cannot become a second message.
 */

export function createDrafts(storage) {
  /** @returns {Draft} */
  function read(conversationId) {
    try {
      return { text: "", sent: null, ...JSON.parse(storage.getItem(keyOf(conversationId))) };
    } catch {
      return { text: "", sent: null };
    }
  }

  function write(conversationId, draft) {
    try {
      if (!draft.text && !draft.sent) storage.removeItem(keyOf(conversationId));
      else storage.setItem(keyOf(conversationId), JSON.stringify(draft));
    } catch {
      // Private mode or a full store: the text stays in the page.
    }
  }

  return {
    read,
    write,
    /** The message under way was accepted; what was typed since stays. */
    delivered: (conversationId) => write(conversationId, { text: read(conversationId).text, sent: null }),
    move(from, to) {
      write(to, read(from));
      write(from, { text: "", sent: null });
    },
  };
}
