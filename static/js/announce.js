// Say something to screen readers, once.

let clearing = 0;

/** Announce politely; a later text replaces one that was not read yet. */
export function announce(text) {
  const region = document.getElementById("announcer");
  if (!region) return;
  region.textContent = "";
  clearTimeout(clearing);
  // Emptied first, so that the same words are read again.
  clearing = setTimeout(() => {
    region.textContent = text;
  }, 60);
}
