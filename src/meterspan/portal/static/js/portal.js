// Entry: what every page gets (theme, locale), then what this page holds.
import { localise } from "./format.js";
import { startLive } from "./live.js";
import { startHistory } from "./history.js";
import { startConsole } from "./console.js";
import { startHomes } from "./homes.js";
import { startOrder } from "./order.js";

const button = document.getElementById("theme");
button.hidden = false;
button.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* the choice lasts for this page */ }
});

localise(document);
startLive();
startHistory();
startConsole();
startHomes();
startOrder();
document.documentElement.dataset.ready = "";
