// The operator's pages: the map tells what came, rows open meters, octets and their meaning light up together.
import { calendar, number, received, say } from "./format.js";
import { fetchPage, onNewData, swap } from "./swap.js";

export function startConsole() {
  const map = document.querySelector("[data-map]");
  if (map) {
    startMap(map);
    onNewData(15_000, refreshNetwork);
  }
  const strip = document.querySelector("[data-strip]");
  if (strip) strip.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("li");
    if (cell) tell([calendar(cell.dataset.day, "weekday"), cellText(cell)]);
  });
  for (const frame of document.querySelectorAll(".frame")) startFrame(frame);
}

async function refreshNetwork() {
  const page = await fetchPage(location.href);
  swap(page, "summary");
  swap(page, "damage");
  if (document.querySelector("#network:hover, #network:focus-within, #quarantine:focus-within")) return;
  const left = document.querySelector(".map-scroll").scrollLeft;
  startMap(swap(page, "network").querySelector("[data-map]"));
  document.querySelector(".map-scroll").scrollLeft = left;
  swap(page, "quarantine");
}

function tell(parts) {
  document.querySelector("[data-map-readout]").textContent = parts.filter(Boolean).join(" · ");
}

function cellText(cell) {
  const counts = cell.textContent.match(/(\d+)\/(\d+)$/);
  if (!counts) return say("not_expected");
  const [r, e] = counts.slice(1).map(Number);
  if (r >= e) return say("all_received", { e: number(e, 0) });
  return `${say("received", { r: number(r, 0), e: number(e, 0) })} (${received(r / e)})`;
}

function startMap(map) {
  const box = map.closest(".map-scroll");
  box.scrollLeft = box.scrollWidth; // the newest days first, where not all fit
  const days = [...map.tHead.rows[0].cells].map((cell) => cell.dataset.day);
  map.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("td.c");
    if (!cell) return;
    tell([cell.parentElement.cells[0].innerText.trim(), calendar(days[cell.cellIndex], "weekday"), cellText(cell)]);
  });
  map.addEventListener("click", (event) => {
    if (!event.target.closest("a")) event.target.closest("td.c")?.parentElement.querySelector("th a")?.click();
  });
}

function startFrame(frame) {
  let held = null;
  const light = (span) => {
    for (const element of frame.querySelectorAll("[data-span]")) element.classList.toggle("lit", span !== null && element.dataset.span === span);
  };
  const spanOf = (event) => event.target.closest("[data-span]")?.dataset.span ?? null;
  frame.addEventListener("pointerover", (event) => light(spanOf(event) ?? held));
  frame.addEventListener("pointerleave", () => light(held));
  frame.addEventListener("click", (event) => {
    const span = spanOf(event);
    if (span === null) return;
    held = held === span ? null : span;
    light(held);
    if (held !== null && event.target.closest("[data-octets]")) {
      const row = frame.querySelector(`tr[data-span="${span}"]`);
      const box = row?.closest(".scroll");
      if (box) box.scrollTop = row.offsetTop - box.clientHeight / 2;
    }
  });
}
