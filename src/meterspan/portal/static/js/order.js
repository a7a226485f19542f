// "Read now": places an order, asks every second what became of it, and shows the meter's page as it is afterwards.
import { say } from "./format.js";
import { fetchPage, swap } from "./swap.js";

const PARTS = ["meter-state", "meter-orders", "meter-story"];

export function startOrder() {
  const button = document.querySelector("[data-order]");
  if (!button) return;
  const state = document.querySelector("[data-order-state]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    state.textContent = say("order_waiting");
    try {
      const order = await read(button.dataset.order);
      state.textContent = order.reason || say("order_done");
      const page = await fetchPage(location.href);
      for (const part of PARTS) swap(page, part);
    } catch {
      state.textContent = say("order_failed");
    }
    button.disabled = false;
  });
}

async function read(place) {
  const placed = await fetch(place, { method: "POST" });
  if (!placed.ok) throw new Error(placed.status);
  const where = placed.headers.get("Location");
  let order = await placed.json();
  while (order.state === "waiting") {
    await new Promise((resume) => setTimeout(resume, 1_000));
    order = await (await fetch(where)).json();
  }
  return order;
}
