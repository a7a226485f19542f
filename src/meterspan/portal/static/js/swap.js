// Replaces parts of the page by the same parts of a freshly fetched page; the server stays the only one who renders.
import { localise } from "./format.js";

export async function fetchPage(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

export function swap(page, id) {
  const fresh = document.importNode(page.getElementById(id), true);
  document.getElementById(id).replaceWith(fresh);
  localise(fresh);
  return fresh;
}

// Runs `refresh` when the data changed, at most every `period` ms, and only while somebody looks.
export function onNewData(period, refresh) {
  let due = false;
  let waiting = false;
  const run = async () => {
    if (!due || waiting || document.hidden) return;
    [due, waiting] = [false, true];
    await refresh().catch(() => {});
    setTimeout(() => { waiting = false; run(); }, period);
  };
  document.addEventListener("data-changed", () => { due = true; run(); });
  document.addEventListener("visibilitychange", run);
}
