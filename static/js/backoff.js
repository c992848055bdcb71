// How long to wait before trying again. Pure.

const FIRST_MS = 500;
const CAP_MS = 30_000;

/**
 * Milliseconds before retry number `failures` (from 0): full jitter, capped. A server's
 * `retryAfterS` is a floor, spread a little so that a crowd does not return at one instant.
 * @param {number} failures
 * @param {{retryAfterS?: number|null, random?: () => number}} [options]
 * @returns {number}
 */
export function retryDelay(failures, { retryAfterS = null, random = Math.random } = {}) {
  const jitter = random() * Math.min(CAP_MS, FIRST_MS * 2 ** Math.min(failures, 16));
  if (Number.isFinite(retryAfterS) && retryAfterS > 0) {
    return Math.min(retryAfterS * 1000, 10 * CAP_MS) + Math.min(jitter, 1000);
  }
  return jitter;
}
