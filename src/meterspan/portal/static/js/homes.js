// The list of homes: power and cost of the cards in view, asked for once they are seen and every half minute.
import { money, power, say } from "./format.js";

const PERIOD_MS = 30_000;

export function startHomes() {
  const cards = document.querySelectorAll(".home-card[href]");
  const seen = new Set();
  const eye = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) seen.delete(target);
      else if (!seen.has(target)) {
        seen.add(target);
        show(target);
      }
    }
  });
  for (const card of cards) eye.observe(card);
  if (cards.length) setInterval(() => document.hidden || seen.forEach(show), PERIOD_MS);
}

async function show(card) {
  const answer = await fetch(`/api/v1${new URL(card.href).pathname}/live`).catch(() => null);
  if (!answer?.ok) return;
  const live = await answer.json();
  const place = card.querySelector(".home-now");
  const strong = document.createElement("strong");
  const [value, unit] = live.power_w === null ? ["–", ""] : power(live.power_w);
  strong.append(`${live.power_w < 0 ? "↑ " : ""}${value} `, Object.assign(document.createElement("span"), { className: "u", textContent: unit }));
  const cost = live.cost_today === null ? [] : [say("cost_today", { amount: money(Number(live.cost_today), live.currency) })];
  place.replaceChildren(strong, ...cost);
}
