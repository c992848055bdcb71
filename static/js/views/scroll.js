// Follow the end of a growing text, unless the reader scrolled away.

const NEAR_END_PX = 48;

/**
 * @param {HTMLElement} scroller
 * @param {HTMLElement} content   what grows inside it
 * @param {HTMLButtonElement} jump "Jump to latest"
 * @param {object} deps
 * @param {() => boolean} deps.hasEnd  whether the end of what is shown is the newest of all
 * @param {() => boolean} deps.isEmpty there is no message: what stands in their place begins above
 * @param {() => void} deps.onJump     the reader wants to go there
 */
export function createStickyScroll(scroller, content, jump, { hasEnd, isEmpty, onJump }) {
  let stuck = true;
  let lastTop = 0;

  const distance = () => scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
  const refresh = () => {
    jump.hidden = stuck && hasEnd();
  };
  const setStuck = (value) => {
    stuck = value;
    refresh();
  };
  const toEnd = () => {
    if (stuck && hasEnd()) scroller.scrollTop = isEmpty() ? 0 : scroller.scrollHeight;
  };
  const isNearEnd = () => hasEnd() && distance() < NEAR_END_PX;

  scroller.addEventListener("scroll", () => {
    const top = scroller.scrollTop;
    if (isNearEnd()) setStuck(true);
    // Only a reader scrolls up; our own moves go down.
    else if (top < lastTop - 1) setStuck(false);
    lastTop = top;
  }, { passive: true });

  // A wheel turned up counts at once, before text that arrives in the same frame pulls down.
  scroller.addEventListener("wheel", ({ deltaY }) => {
    if (deltaY < 0 && scroller.scrollHeight > scroller.clientHeight) stuck = false;
  }, { passive: true });

  new ResizeObserver(toEnd).observe(content);
  new ResizeObserver(toEnd).observe(scroller);

  jump.addEventListener("click", onJump);

  return {
    jumpToEnd() {
      setStuck(true);
      toEnd();
    },
    toEnd,
    refresh,
    /** Stop following the end, to look at something else. */
    leaveEnd: () => setStuck(false),
    /** Follow the end again if it is in view. */
    look: () => setStuck(isNearEnd()),
    /** Run `change`, which may add something above `anchor`, without moving what the reader looks at. */
    keepPlace(change, anchor) {
      const before = anchor.offsetTop;
      change();
      scroller.scrollTop += anchor.offsetTop - before;
      lastTop = scroller.scrollTop;
    },
    /** How much there is above and below what is in view, in pixels. */
    room: () => ({ above: scroller.scrollTop, below: distance() }),
  };
}
