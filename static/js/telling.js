// Tells screen readers how an answer fares, without chattering.

// A state that passes sooner is not worth an interruption.
const SETTLED_MS = 1_500;

// Being offline is told by the line above the composer.
const SPOKEN = {
  reconnecting: () => "The connection was lost. Reconnecting.",
  busy: () => "Very busy right now. Your message is sent again by itself.",
  slow: (text) => text,
  queued: (text) => text,
  resumed: (text) => text,
};

/**
 * A function to call with each state; moving numbers within one kind are not read out.
 * @param {(text: string) => void} announce
 */
export function createTelling(announce) {
  let kind = null;
  let timer = 0;
  return function tell(state) {
    if (state?.kind === kind) return;
    kind = state?.kind ?? null;
    clearTimeout(timer);
    const words = SPOKEN[kind]?.(state.text);
    if (words) timer = setTimeout(() => announce(words), SETTLED_MS);
  };
}
