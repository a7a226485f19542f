// "Read now": places an order and asks every second what became of it, until it is answered or timed out.
import { number, say, unitName } from "./format.js";

export function startOrder() {
  const button = document.querySelector("[data-order]");
  if (!button) return;
  const state = document.querySelector("[data-order-state]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    state.textContent = say("order_waiting");
    try {
      state.textContent = outcome(await read(button.dataset.order, (reason) => (state.textContent = reason)));
    } catch {
      state.textContent = say("order_failed");
    }
    button.disabled = false;
  });
}

async function read(place, onReason) {
  const body = JSON.stringify({ deadline_s: 60 });
  const placed = await fetch(place, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  if (!placed.ok) throw new Error(placed.status);
  const where = placed.headers.get("Location");
  let order = await placed.json();
  while (order.state === "waiting") {
    await new Promise((resume) => setTimeout(resume, 1_000));
    order = await (await fetch(where)).json();
    if (order.reason) onReason(order.reason);
  }
  return order;
}

function outcome(order) {
  if (order.state !== "answered" || !order.values.length) return order.reason || say("order_timed_out");
  return order.values.map((v) => `${v.obis} ${number(v.value, 3, 0)} ${unitName(v.unit)}`).join(" · ");
}
