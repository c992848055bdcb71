// A small menu next to the button that opened it; the browser closes it (popover).

import { h, icon } from "../dom.js";

const GAP_PX = 4;

/**
 * Open a menu of actions beside `anchor`.
 * @param {HTMLElement} anchor
 * @param {{label: string, icon: string, run: () => void, danger?: boolean}[]} actions
 */
export function openMenu(anchor, actions) {
  const buttons = actions.map(({ label, icon: sign, run, danger }) =>
    h("button", { type: "button", role: "menuitem", class: danger ? "menu-item is-danger" : "menu-item",
      on: { click: () => { menu.hidePopover(); run(); } } }, icon(sign), label));
  const menu = h("div", { class: "menu", popover: "auto", role: "menu", on: { keydown, toggle } }, ...buttons);

  function keydown(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.indexOf(document.activeElement);
    buttons.at((at + step) % buttons.length).focus();
  }

  function toggle({ newState }) {
    anchor.setAttribute("aria-expanded", String(newState === "open"));
    if (newState !== "closed") return;
    const hadFocus = menu.contains(document.activeElement) || document.activeElement === document.body;
    menu.remove();
    if (hadFocus && anchor.isConnected) anchor.focus();
  }

  document.body.append(menu);
  menu.showPopover();
  const at = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const below = at.bottom + GAP_PX + height < window.innerHeight;
  menu.style.left = `${Math.max(8, Math.min(at.left, window.innerWidth - width - 8))}px`;
  menu.style.top = `${below ? at.bottom + GAP_PX : at.top - GAP_PX - height}px`;
  buttons[0].focus();
}
