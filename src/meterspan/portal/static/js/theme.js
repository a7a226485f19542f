// The chosen theme, set before the first paint; without a choice the system's preference stands.
(() => {
  let choice = null;
  try { choice = localStorage.getItem("theme"); } catch { /* storage is switched off: follow the system */ }
  if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
})();
