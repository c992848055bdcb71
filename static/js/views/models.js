// Which model answers: a plain select, shown when there is a choice.

import { h } from "../dom.js";

/** The name to show for a model of the catalogue. */
export const modelName = (models, name) =>
  models.find((one) => one.name === name)?.displayName ?? (name === "auto" ? "" : name ?? "");

/**
 * @param {HTMLSelectElement} select
 * @param {{store: object, onChoose: (name: string) => void}} deps
 */
export function createModelPicker(select, { store, onChoose }) {
  select.addEventListener("change", () => onChoose(select.value));
  store.watch(["models"], ({ models }) => {
    const hasAuto = models.some((one) => one.name === "auto");
    const options = models.map(({ name, displayName, inPlan }) =>
      h("option", { value: name, text: displayName, disabled: inPlan === false }));
    if (!hasAuto) options.unshift(h("option", { value: "auto", text: "Auto" }));
    select.replaceChildren(...options);
    select.closest("[data-models]").hidden = models.length < 2;
  });
  store.watch(["model", "models"], ({ model, models }) => {
    if (models.length) select.value = model ?? "auto";
  });
}
