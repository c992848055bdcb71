import assert from "node:assert/strict";
import test from "node:test";

import { flashDone } from "../../static/js/dom.js";

/** As much of a button as is needed. */
function makeButton(label, ...children) {
  const attributes = new Map([["aria-label", label]]);
  const classes = new Set();
  return {
    childNodes: children,
    classList: {
      add: (name) => classes.add(name), remove: (name) => classes.delete(name), contains: (name) => classes.has(name),
    },
    replaceChildren(...nodes) { this.childNodes = nodes; },
    getAttribute: (name) => attributes.get(name) ?? null,
    setAttribute: (name, value) => attributes.set(name, value),
    removeAttribute: (name) => attributes.delete(name),
  };
}

test("a button that is pressed twice in a moment goes back to what it was", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.document = { createElementNS: () => ({ setAttribute() {}, append() {} }) };
  const button = makeButton("Copy code", "icon", "Copy");
  flashDone(button, "Copied");
  t.mock.timers.tick(500);
  flashDone(button, "Copied");
  assert.equal(button.getAttribute("aria-label"), "Copied");
  t.mock.timers.tick(5_000);
  assert.deepEqual(button.childNodes, ["icon", "Copy"]);
  assert.equal(button.getAttribute("aria-label"), "Copy code");
  assert.equal(button.classList.contains("is-done"), false);
});
