// Which of several ways to read an answer is tried next. Pure.

/**
 * @typedef {object} Transport
 * @property {string} name
 * @property {boolean} [isLastResort]   it is tried once, whenever the others have been
 * @property {(asked: object) => Promise<"cut"|"gone">} read
 * Asks for an answer (`submit`, when there is no `generationId` yet) or resumes it after `cursor`.
 * It calls `onAlive` for every sign of life, `onAccepted` with the generation's id, and `onEvent`.
 * It rejects with ApiError when the server refused, with anything else when the line broke.
 * "gone" says that nothing more will come. After an abort of `signal` it ends soon.
 */

// The server says something as soon as it is asked, so a silent connection is held back
// somewhere. Slow networks get more time in each round in which no way worked.
const FIRST_SIGN_MS = 5_000;
const MAX_DOUBLINGS = 2;
// One cut is bad luck, two are a habit of the line.
const STRIKES = 2;
// A connection that lasted this long was not cut by something that always cuts.
const STEADY_MS = 20_000;

/**
 * The ways in order of preference; what worked last is used first, for as long as the page lives.
 * @param {Transport[]} transports
 */
export function createChoice(transports) {
  let at = 0;
  let strikes = 0;
  let moves = 0;

  return {
    current: () => transports[at],
    /** How long to wait for a first sign of life. */
    patienceMs: () => FIRST_SIGN_MS * 2 ** Math.min(Math.floor(moves / transports.length), MAX_DOUBLINGS),
    /** There was a sign of life. */
    isAlive() {
      moves = 0;
    },
    /** The answer came to its end. */
    worked() {
      strikes = 0;
      if (transports[at].isLastResort) at = 0;
    },
    /** A connection broke; `silent` when it never said anything. True if another way is next. */
    broke({ silent, lastedMs = 0 }) {
      if (lastedMs >= STEADY_MS && !silent) strikes = 0;
      strikes += silent || transports[at].isLastResort ? STRIKES : 1;
      if (strikes < STRIKES) return false;
      strikes = 0;
      moves += 1;
      at = (at + 1) % transports.length;
      return transports.length > 1;
    },
  };
}
