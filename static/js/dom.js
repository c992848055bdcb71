// Small helpers for building and finding elements.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Properties: `class`, `text`, `on` (listeners), `dataset`; the rest are attributes,
 * where true means present and false or null means absent.
 * @param {string} tag
 * @param {object} [props]
 * @param {...(Node|string|null|false)} children
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") {
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    } else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "text") element.textContent = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.filter((child) => child || child === ""));
  return element;
}

/** An icon from the page's own sprite, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button that shows an icon only; `label` is its name and tooltip. */
export const iconButton = (name, label, onClick, props = {}) =>
  h("button", { type: "button", class: "icon-button", "aria-label": label, title: label,
    on: { click: onClick }, ...props }, icon(name));

/** The element with this id; a missing one is a fault of the template. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no #${id}`);
  return element;
}

/** Run `draw` at most once per frame, and at once when the page is hidden. */
export function throttleToFrame(draw) {
  let frame = 0;
  return () => {
    if (frame) return;
    // A hidden page gets no frames; a timer still runs there.
    const hidden = document.visibilityState === "hidden";
    const run = () => {
      frame = 0;
      draw();
    };
    frame = hidden ? setTimeout(run, 250) : requestAnimationFrame(run);
  };
}

/** Copy `text`; true when it worked. Also where the clipboard API is missing (plain http). */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { class: "sr-only", readonly: true });
    area.value = text;
    document.body.append(area);
    area.select();
    const worked = document.execCommand("copy");
    area.remove();
    return worked;
  }
}

/** Show for a moment that a button did its work. */
export function flashDone(button, label) {
  // Pressed again meanwhile: what it shows now is not what it goes back to.
  if (button.classList.contains("is-done")) return;
  const before = button.getAttribute("aria-label");
  const kept = [...button.childNodes];
  button.replaceChildren(icon("check"));
  button.classList.add("is-done");
  button.setAttribute("aria-label", label);
  setTimeout(() => {
    button.replaceChildren(...kept);
    button.classList.remove("is-done");
    if (before === null) button.removeAttribute("aria-label");
    else button.setAttribute("aria-label", before);
  }, 1600);
}
