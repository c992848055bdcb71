// Searching what was said: one search at a time, page by page.

const PAGE = 20;
const SLOW_MS = 2000;
// A page may be short, or empty, and still have a next one: so many are asked for at a stretch.
const MAX_EMPTY_PAGES = 5;

/**
 * `found` in the store is null without a search; else {query, items, cursor, state, error}, where
 * the state is "loading", "slow", "ready" or "failed".
 */
export function createSearch({ api, store }) {
  let running = null;

  const patch = (changes) => store.set(({ found }) => ({ found: { ...found, ...changes } }));

  function stop() {
    running?.abort();
    running = null;
  }

  async function load() {
    const { query } = store.get().found;
    const mine = new AbortController();
    running = mine;
    const isCurrent = () => running === mine;
    patch({ state: "loading", error: null });
    const slow = setTimeout(() => isCurrent() && patch({ state: "slow" }), SLOW_MS);
    try {
      for (let pages = 0; pages < MAX_EMPTY_PAGES; pages += 1) {
        const { cursor } = store.get().found;
        const parameters = new URLSearchParams({ q: query, limit: PAGE });
        if (cursor) parameters.set("cursor", cursor);
        const page = await api.get(`/conversations?${parameters}`, { signal: mine.signal });
        if (!isCurrent()) return;
        store.set(({ found }) => ({
          found: { ...found, items: [...found.items, ...page.items], cursor: page.nextCursor },
        }));
        if (page.items.length || !page.nextCursor) break;
      }
      patch({ state: "ready" });
    } catch (error) {
      if (isCurrent()) patch({ state: "failed", error });
    } finally {
      clearTimeout(slow);
    }
  }

  return {
    /** Search for a text; an empty one ends the search. */
    search(query) {
      stop();
      store.set({ found: query ? { query, items: [], cursor: null, state: "loading", error: null } : null });
      if (query) load();
    },
    more() {
      const { found } = store.get();
      if (found?.cursor && found.state === "ready") load();
    },
    retry() {
      if (store.get().found) load();
    },
  };
}
