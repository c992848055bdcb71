// Does the text on the screen equal the text that was stored?

/** Lower-case hex SHA-256 of the UTF-8 of `text`, or null where the browser offers none. */
export async function sha256Hex(text, subtle = globalThis.crypto?.subtle) {
  // crypto.subtle exists in secure contexts (https, localhost) only.
  if (!subtle) return null;
  const hash = await subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Whether a finished answer shows exactly what is stored.
 * @param {import("./reducer.js").Answer} answer
 * @returns {Promise<boolean>}
 */
export async function matchesStored(answer, subtle) {
  if (answer.status !== "done") return true;
  const stored = answer.message?.content;
  if (typeof stored === "string" && stored !== answer.text) return false;
  if (!answer.sha256) return true;
  const shown = await sha256Hex(answer.text, subtle);
  return shown === null || shown === answer.sha256;
}
