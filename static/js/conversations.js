// The list of conversations: pages, rename, pin, delete.

const PAGE = 30;
const TITLE_DELAYS_MS = [1500, 6000];

/** The order of the server's pages. */
export const newestFirst = (a, b) =>
  Number(b.pinned) - Number(a.pinned) || b.updatedAt.localeCompare(a.updatedAt)
  || b.conversationId.localeCompare(a.conversationId);

const isUntitled = (title) => !title || title === "New conversation";

/** A title for a conversation that has none yet: the first words of its first message. */
export const workingTitle = (text) => {
  const words = text.trim().replace(/\s+/g, " ");
  return words.length > 60 ? `${words.slice(0, 57).trimEnd()}…` : words;
};

export function createConversations({ api, store, onTrouble }) {
  let asked = 0;
  const removedHere = new Set();

  const place = (items, item) =>
    [...items.filter((one) => one.conversationId !== item.conversationId), item].sort(newestFirst);
  const find = (id) => store.get().items.find((one) => one.conversationId === id);

  async function load(cursor) {
    const now = ++asked;
    const started = new Date().toISOString();
    store.set({ listLoading: true });
    const parameters = new URLSearchParams({ limit: PAGE });
    if (cursor) parameters.set("cursor", cursor);
    try {
      const page = await api.get(`/conversations?${parameters}`);
      if (now !== asked) return;
      const known = new Set(page.items.map((one) => one.conversationId));
      // What was touched while the page was on its way is newer than the page.
      const keep = (one) => !known.has(one.conversationId) && (cursor || one.updatedAt >= started);
      store.set(({ items }) => ({
        items: [...items.filter(keep), ...page.items].sort(newestFirst),
        itemsCursor: page.nextCursor,
        listError: null,
      }));
    } catch (error) {
      if (now === asked) store.set({ listError: error });
    } finally {
      if (now === asked) store.set({ listLoading: false });
    }
  }

  const toItem = ({ conversationId, title, model, pinned, archived, createdAt, updatedAt }) => {
    const item = { conversationId, title, model, pinned, archived, createdAt, updatedAt };
    const old = find(conversationId);
    if (isUntitled(title) && old) Object.assign(item, { title: old.title, working: old.working });
    return item;
  };

  function put(conversation) {
    const item = toItem(conversation);
    if (item.archived) forget(item.conversationId);
    else store.set(({ items }) => ({ items: place(items, item) }));
    if (store.get().conversationId === item.conversationId && item.title) store.set({ title: item.title });
  }

  /** Lay the newest page over what is listed; older pages stay. True when it could be had. */
  async function sync() {
    if (store.get().listLoading) return false;
    const started = new Date().toISOString();
    let page;
    try {
      page = await api.get(`/conversations?limit=${PAGE}`);
    } catch {
      // It is asked for again soon.
      return false;
    }
    if (store.get().listLoading) return true;
    const known = new Set(page.items.map((one) => one.conversationId));
    const last = page.nextCursor && page.items.at(-1);
    const isBeyond = (one) => Boolean(last) && newestFirst(last, one) < 0;
    const stays = (one) => !known.has(one.conversationId) && (isBeyond(one) || one.updatedAt >= started);
    const fresh = page.items.filter((one) => !removedHere.has(one.conversationId)).map(toItem);
    store.set(({ items, itemsCursor }) => ({
      items: [...items.filter(stays), ...fresh].sort(newestFirst),
      itemsCursor: items.length ? itemsCursor : page.nextCursor,
      listError: null,
    }));
    return true;
  }

  /** Fetch one conversation's line again, not the whole list. */
  async function refresh(id) {
    try {
      put(await api.get(`/conversations/${id}?limit=1`));
    } catch (error) {
      if (error.status === 404) forget(id);
    }
  }

  /** A title is written after the answer; look for it twice, unless it is there. */
  function refreshSoon(id) {
    for (const delay of TITLE_DELAYS_MS) {
      setTimeout(() => {
        if (!find(id) || find(id).working) refresh(id);
      }, delay);
    }
  }

  /** Move a conversation to the top because something was sent in it. */
  function touch(id, text) {
    const now = new Date().toISOString();
    const old = find(id);
    const { conversationId, title } = store.get();
    const known = conversationId === id ? title : "";
    const fresh = { conversationId: id, title: known, model: null, pinned: false, archived: false, createdAt: now };
    const item = { ...fresh, ...old, updatedAt: now };
    if (isUntitled(item.title)) Object.assign(item, { title: workingTitle(text), working: true });
    store.set(({ items }) => ({ items: place(items, item) }));
    if (store.get().conversationId === id) store.set({ title: item.title });
  }

  function forget(id) {
    store.set(({ items }) => ({ items: items.filter((one) => one.conversationId !== id) }));
  }

  /** Shown at once, and taken back when the server refuses; true when it did not. */
  async function change(id, patch) {
    const old = find(id);
    if (patch.archived) forget(id);
    else if (old) store.set(({ items }) => ({ items: place(items, { ...old, ...patch }) }));
    if (patch.title && store.get().conversationId === id) store.set({ title: patch.title });
    try {
      put(await api.patch(`/conversations/${id}`, patch));
      return true;
    } catch (error) {
      if (old) put(old);
      onTrouble(error);
      return false;
    }
  }

  async function remove(id) {
    const old = find(id);
    forget(id);
    removedHere.add(id);
    try {
      await api.delete(`/conversations/${id}`);
      return true;
    } catch (error) {
      if (error.status === 404) return true;
      removedHere.delete(id);
      if (old) put(old);
      onTrouble(error);
      return false;
    }
  }

  return {
    load: () => load(null),
    more() {
      const { itemsCursor, listLoading } = store.get();
      if (itemsCursor && !listLoading) load(itemsCursor);
    },
    sync, refresh, refreshSoon, touch, forget, change, remove,
    /** Whether this tab deleted it, so that the notice of it is no news. */
    wasRemovedHere: (id) => removedHere.has(id),
  };
}
