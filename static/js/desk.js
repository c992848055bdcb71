// Keys of the moderators' desk: each presses a button that is on the page, or moves along the queue.

const FIELDS = "input:not([type=checkbox]), textarea, select, [contenteditable]";
const HERE = "is-here";

const rows = () => [...document.querySelectorAll("#result_list tr.data-row")];

/** The place to go to from `place` of `count`: at either end it stays; from nowhere, the first. */
export const nextPlace = (place, count, by) =>
  place < 0 ? 0 : Math.min(count - 1, Math.max(0, place + by));

const here = () => document.querySelector(`#result_list tr.${HERE}`);

function move(by) {
  const all = rows();
  if (!all.length) return;
  const at = here();
  const row = all[nextPlace(all.indexOf(at), all.length, by)];
  at?.classList.remove(HERE);
  row.classList.add(HERE);
  // Read out by a screen reader, and where Enter goes.
  row.querySelector("a")?.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

const boxOf = (row) => row?.querySelector("input.action-select");

/** Send what is selected, or else the row that is stood on, through the list's own form. */
function act(action) {
  const form = document.getElementById("changelist-form");
  const chosen = rows().map(boxOf).filter((box) => box?.checked);
  if (!chosen.length) {
    const box = boxOf(here());
    if (!box) return;
    box.checked = true;
  }
  const choice = form.querySelector("select[name=action]");
  choice.value = action;
  form.querySelector("button[name=index]").click();
}

function press(button) {
  if (button.dataset.opens) document.getElementById(button.dataset.opens).showModal();
  else if (button.dataset.action) act(button.dataset.action);
}

const MOVES = {
  j: () => move(1),
  k: () => move(-1),
  x: () => boxOf(here())?.click(),
};

function listen(desk) {
  for (const button of desk.querySelectorAll("[data-opens], [data-action]")) {
    button.addEventListener("click", () => press(button));
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest(FIELDS) || document.querySelector("dialog[open]")) return;
    const button = [...desk.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key);
    const moving = desk.dataset.desk === "queue" ? MOVES[event.key] : undefined;
    if (!button && !moving) return;
    event.preventDefault();
    if (button) button.click();
    else moving();
  });
}

if (globalThis.document) {
  const desk = document.querySelector("[data-desk]");
  if (desk) listen(desk);
}
