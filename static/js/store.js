// The page's state in one place; views subscribe to the parts they draw.

/**
 * @template {object} T
 * @param {T} initial
 */
export function createStore(initial) {
  let state = initial;
  const watchers = new Set();

  return {
    /** @returns {T} */
    get: () => state,
    /** Merge a patch (or a function of the state that returns one) and tell who watches it. */
    set(patch) {
      const before = state;
      state = { ...state, ...(typeof patch === "function" ? patch(state) : patch) };
      for (const { keys, draw } of [...watchers]) {
        if (keys.some((key) => before[key] !== state[key])) draw(state);
      }
    },
    /** Call `draw` now and whenever one of `keys` changed; returns the way to stop. */
    watch(keys, draw) {
      const watcher = { keys, draw };
      watchers.add(watcher);
      draw(state);
      return () => watchers.delete(watcher);
    },
  };
}
