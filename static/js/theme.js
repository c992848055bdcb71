// Applied before the first paint; loaded as a plain blocking script, hence no module.
(() => {
  const KEY = "parley:theme";
  const read = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  const apply = (choice) => {
    const fixed = choice === "light" || choice === "dark";
    if (fixed) document.documentElement.dataset.theme = choice;
    else delete document.documentElement.dataset.theme;
  };
  apply(read());

  const mark = () => {
    const choice = read() ?? "system";
    for (const input of document.querySelectorAll("input[name=theme]")) {
      input.checked = input.value === choice;
    }
  };
  document.addEventListener("DOMContentLoaded", mark);
  window.addEventListener("storage", ({ key }) => {
    if (key !== KEY) return;
    apply(read());
    mark();
  });
  document.addEventListener("change", ({ target }) => {
    if (target.name !== "theme") return;
    try {
      localStorage.setItem(KEY, target.value);
    } catch {
      // Private mode: the choice holds for this page.
    }
    apply(target.value);
  });
})();
