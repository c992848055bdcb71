// The frame: side panel that slides in on small screens, title, keyboard shortcuts.

const SMALL = window.matchMedia("(max-width: 860px)");

/**
 * @param {object} elements {sidebar, opener, closer, backdrop, main}
 */
export function createShell({ sidebar, openers, closers, backdrop, main }) {
  const isOpen = () => document.body.classList.contains("is-panel-open");

  function draw() {
    const folded = !SMALL.matches && document.body.classList.contains("is-panel-folded");
    const covered = SMALL.matches && isOpen();
    sidebar.inert = folded || (SMALL.matches && !isOpen());
    main.inert = covered;
    backdrop.hidden = !covered;
    for (const opener of openers) opener.setAttribute("aria-expanded", String(!sidebar.inert));
  }

  function open() {
    document.body.classList.remove("is-panel-folded");
    document.body.classList.toggle("is-panel-open", SMALL.matches);
    draw();
    closers[0].focus();
  }

  function close({ refocus = true } = {}) {
    const small = SMALL.matches;
    if (small && !isOpen()) return;
    document.body.classList.remove("is-panel-open");
    if (!small) document.body.classList.add("is-panel-folded");
    draw();
    if (refocus) openers[0].focus();
  }

  for (const opener of openers) opener.addEventListener("click", open);
  for (const closer of closers) closer.addEventListener("click", () => close());
  backdrop.addEventListener("click", () => close());
  SMALL.addEventListener("change", draw);
  draw();

  return {
    open,
    /** After a choice on a small screen the panel has done its work. */
    closeIfSmall: () => SMALL.matches && isOpen() && close({ refocus: false }),
    isCovering: () => SMALL.matches && isOpen(),
    close,
  };
}
