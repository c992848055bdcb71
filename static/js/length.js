// How long a message may be. Pure.

export const MAX_CHARACTERS = 32_000;
// The count is shown from here on.
const COUNTED_FROM = 28_000;

// The server counts code points, not UTF-16 units.
const countCharacters = (text) => (text.length < COUNTED_FROM ? text.length : [...text].length);

/**
 * Whether a text is too long to be sent, and its length in words where that is worth saying.
 * @param {string} text
 * @returns {{isOver: boolean, words: string}}
 */
export function describeLength(text) {
  const count = countCharacters(text);
  const words = `${count.toLocaleString("en")} / ${MAX_CHARACTERS.toLocaleString("en")}`;
  return { isOver: count > MAX_CHARACTERS, words: count < COUNTED_FROM ? "" : words };
}
