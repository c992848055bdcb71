// Keys that work everywhere on the page.

/**
 * Escape stops what is most in the foreground; Ctrl or Command with K searches, with Shift and O
 * begins a new chat.
 * @param {{stop: () => void, search: () => void, newChat: () => void}} actions
 */
export function listenForShortcuts({ stop, search, newChat }) {
  document.addEventListener("keydown", (event) => {
    const command = event.metaKey || event.ctrlKey;
    if (event.key === "Escape" && !event.defaultPrevented) {
      // Dialogs and menus close by themselves.
      if (!document.querySelector("dialog[open], [popover]:popover-open")) stop();
    } else if (command && event.key === "k") {
      event.preventDefault();
      search();
    } else if (command && event.shiftKey && event.key.toLowerCase() === "o") {
      event.preventDefault();
      newChat();
    }
  });
}
