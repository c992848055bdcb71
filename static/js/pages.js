// The stretch of the open conversation that is on the page: widen it, or go to another.

import { mergeNewer, mergeOlder } from "./messages.js";

const PAGE = 40;
const GONE = "message_not_found";

/**
 * @param {object} deps
 * @param {(page: object) => void} deps.show      lay a fetched page over what is shown
 * @param {(page: object) => void} deps.onNewest  widening has come to the newest message
 * @param {() => void} deps.onLeft                what was shown is on a branch left by an edit elsewhere
 * @param {(error: object) => void} deps.onTrouble
 */
export function createPages({ api, store, show, onNewest, onLeft, onTrouble }) {
  // What an earlier move still fetches is dropped.
  let moves = 0;

  const get = (id, place = "") => api.get(`/conversations/${id}?limit=${PAGE}${place}`);
  const isOpen = (id) => store.get().conversationId === id;
  const isAtNewest = () => store.get().newerCursor === null;

  /** Fetch what comes before or after, and put it there; the page, or null when nothing came of it. */
  async function widen(loading, cursor, parameter, put) {
    const { conversationId, [cursor]: place } = store.get();
    if (!place || store.get().loading !== "ready") return null;
    const isHere = () => isOpen(conversationId) && store.get()[cursor] === place;
    store.set({ loading });
    try {
      const page = await get(conversationId, `&${parameter}=${place}`);
      if (!isHere()) return null;
      store.set(({ messages }) => put(messages, page));
      return page;
    } catch (error) {
      if (!isHere()) return null;
      if (error.code !== GONE) onTrouble(error);
      else if (await move(conversationId)) onLeft();
      return null;
    } finally {
      if (isOpen(conversationId) && store.get().loading === loading) store.set({ loading: "ready" });
    }
  }

  /** Both are true when something came. */
  async function loadOlder() {
    return Boolean(await widen("older", "olderCursor", "before", (messages, page) =>
      ({ messages: mergeOlder(messages, page.messages), olderCursor: page.nextCursor })));
  }

  async function loadNewer() {
    const page = await widen("newer", "newerCursor", "after", (messages, next) =>
      ({ messages: mergeNewer(messages, next.messages), newerCursor: next.newerCursor }));
    if (page?.newerCursor === null) onNewest(page);
    return Boolean(page);
  }

  /** Show the stretch with the newest message. True when it is there, false when it cannot be had. */
  async function goToNewest() {
    return isAtNewest() || (await move(store.get().conversationId));
  }

  /** Show the stretch around a message; its key, or null when it is not to be had. */
  async function reach(conversationId, seq) {
    if (!isOpen(conversationId)) return null;
    const find = () => store.get().messages.find((one) => one.seq === seq)?.key ?? null;
    return find() ?? ((await move(conversationId, `&around=${seq}`)) ? find() : null);
  }

  /** True when the page asked for is shown now. */
  async function move(conversationId, place) {
    const now = ++moves;
    const isWanted = () => now === moves && isOpen(conversationId);
    try {
      const page = await get(conversationId, place);
      if (isWanted()) show(page);
      return isWanted();
    } catch (error) {
      if (isWanted() && error.code !== GONE) onTrouble(error);
      return false;
    }
  }

  /** Lay the newest page over what is shown, unless the reader goes elsewhere meanwhile. */
  async function reload() {
    const { conversationId } = store.get();
    const now = moves;
    const page = await get(conversationId);
    if (now === moves && isOpen(conversationId)) show(page);
  }

  /** The page to open a conversation with: at a message, or the newest if that is gone. */
  async function first(conversationId, seq) {
    moves += 1;
    if (!seq) return get(conversationId);
    try {
      return await get(conversationId, `&around=${seq}`);
    } catch (error) {
      if (error.code !== GONE) throw error;
      return get(conversationId);
    }
  }

  return { first, reload, loadOlder, loadNewer, goToNewest, reach, isAtNewest };
}
