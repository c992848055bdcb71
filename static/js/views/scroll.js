// Follow the end of a growing text, unless the reader scrolled away.

const NEAR_END_PX = 48;

/**
 * @param {HTMLElement} scroller
 * @param {HTMLElement} content   what grows inside it
 * @param {HTMLButtonElement} jump "Jump to latest"
 */
export function createStickyScroll(scroller, content, jump) {
  let stuck = true;
  let lastTop = 0;

  const distance = () => scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
  const setStuck = (value) => {
    stuck = value;
    jump.hidden = stuck;
  };
  const toEnd = () => {
    if (stuck) scroller.scrollTop = scroller.scrollHeight;
  };

  scroller.addEventListener("scroll", () => {
    const top = scroller.scrollTop;
    if (distance() < NEAR_END_PX) setStuck(true);
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

  const jumpToEnd = () => {
    setStuck(true);
    toEnd();
  };
  jump.addEventListener("click", jumpToEnd);

  return {
    jumpToEnd,
    toEnd,
    /** Stop following the end, to look at something else. */
    leaveEnd: () => setStuck(false),
    /** Run `change`, which adds something above, without moving what the reader looks at. */
    keepPlace(change) {
      const before = scroller.scrollHeight - scroller.scrollTop;
      change();
      scroller.scrollTop = scroller.scrollHeight - before;
      lastTop = scroller.scrollTop;
    },
  };
}
