// Live numbers by server-sent events: the consumer's power, band and cost, or the operator's headline numbers.
import { clock, power, say, writeChange, writeNumber, writeTime } from "./format.js";
import { svg } from "./svg.js";
import { fetchPage, swap } from "./swap.js";

const WINDOW_MS = 2 * 3600 * 1000;
const SAMPLES_MAX = 1200;
// A power value older than this is told with its time and not as what flows now (STALE_S in shapes.py).
const STALE_MS = 120_000;
const QUARTER_MS = 900_000;

export function startLive() {
  const home = document.getElementById("live");
  const network = document.getElementById("summary");
  const place = home ?? network;
  if (!place) return;
  const state = document.querySelector("[data-live-state]");
  const tell = (on, key = on ? "live" : "reconnecting") => {
    state.hidden = false;
    state.classList.toggle("off", !on);
    const text = say(key);
    if (state.lastElementChild.textContent !== text) state.lastElementChild.textContent = text;
  };
  let connected = false;
  const show = home ? consumer(home, (heard) => connected && tell(true, heard ? "live" : "connected")) : operator;
  let source = null;
  const open = () => {
    source = new EventSource(place.dataset.url);
    source.addEventListener("open", () => {
      connected = true;
      tell(true, home ? "connected" : "live");
    });
    source.addEventListener("error", () => {
      connected = false;
      tell(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 10_000);
    });
    for (const name of ["live", "summary"]) source.addEventListener(name, (event) => show(JSON.parse(event.data)));
  };
  open();
  // A hidden page gives its connection back: browsers open only six to one server.
  document.addEventListener("visibilitychange", () => {
    source.close();
    if (!document.hidden) open();
  });
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && open());
}

function put(name, value) {
  if (value === undefined) return;
  for (const element of document.querySelectorAll(`[data-live="${CSS.escape(name)}"]`)) {
    if (element instanceof HTMLTimeElement) {
      if (value === null) continue;
      element.dateTime = value;
      writeTime(element);
    } else if (element.value !== String(value ?? "")) {
      element.value = value ?? "";
      writeNumber(element);
    }
  }
}

let mark = null;
// Tells the rest of the page that what it shows of the data has become old.
function announce(next) {
  if (mark !== null && mark !== next) document.dispatchEvent(new Event("data-changed"));
  mark = next;
}

function operator(summary) {
  announce(JSON.stringify([summary.received_today, summary.quarantined, summary.damaged, summary.by_state]));
  const due = summary.expected_today > 0;
  put("received_today", due ? summary.received_today : null);
  put("expected_today", due ? summary.expected_today : null);
  for (const name of ["meters", "completeness_today", "completeness_yesterday", "unexplained_wh", "quarantined", "readings_stored", "sessions_open", "damaged"]) put(name, summary[name]);
  for (const [state, count] of Object.entries(summary.by_state)) put(`state.${state}`, count);
}

function consumer(home, hear) {
  const now = document.getElementById("now");
  const number = document.getElementById("power");
  const direction = document.getElementById("direction");
  const spark = sparkline(document.getElementById("spark"));
  const strip = document.getElementById("strip");
  if (strip) needle(strip, new Date(document.getElementById("spark").dataset.now));
  let band = null;
  let heard = null;
  let ahead = 0;
  const showPower = () => {
    if (heard === null) return;
    const none = heard.power_w === null;
    const at = new Date(heard.power_at ?? heard.at);
    const stale = !none && Date.now() + ahead - at > STALE_MS;
    hear(!none && !stale);
    const way = none || heard.power_w >= 0 ? "import" : "export";
    now.classList.remove("none", "import", "export");
    now.classList.add(none || stale ? "none" : way);
    number.value = none ? "" : heard.power_w;
    [number.querySelector(".n").textContent, number.querySelector(".u").textContent] = none ? ["–", ""] : power(heard.power_w);
    const flow = none ? say("no_live") : heard.power_w < 0 ? say("export") : say("import");
    const text = stale ? `${flow}, ${say("as_of", { time: clock(at) })}` : flow;
    if (direction.textContent !== text) direction.textContent = text;
  };
  setInterval(showPower, 15_000);
  return (live) => {
    announce(live.today.map((today) => today.last_reading).join());
    heard = live;
    ahead = Date.parse(live.at) - Date.now();
    showPower();
    const none = live.power_w === null;
    if (!none) spark(new Date(live.power_at ?? live.at), live.power_w);
    const cost = document.getElementById("cost");
    const lacking = [...new Set(live.without_cost)].join(" ");
    if (lacking !== cost.dataset.lacking) {
      cost.dataset.lacking = lacking; // another supply has a cost now, or lost it: the card is drawn anew
      fetchPage(location.href).then((page) => swap(page, "cost")).catch(() => {});
    }
    put("price", live.price);
    put("band_until", live.band_until);
    put("cost_today", live.cost_today);
    for (const today of live.today) {
      put(`consumed.${today.commodity}`, today.consumed);
      put(`cost.${today.commodity}`, today.cost);
      const change = document.querySelector(`[data-change="${today.commodity}"]`);
      if (change) writeChange(change, today.consumed ?? "");
      const part = document.querySelector(`[data-share="${today.commodity}"]`);
      const share = today.cost === null || !(live.cost_today > 0) ? 0 : (100 * today.cost) / live.cost_today;
      part?.setAttribute("width", `${Math.min(100, Math.max(0, share))}%`);
    }
    if (strip) needle(strip, new Date(live.at));
    if (band !== null && band !== live.band) showBand(live.band);
    band = live.band;
  };
}

function showBand(name) {
  for (const item of document.querySelectorAll(".windows li")) {
    const on = item.dataset.band === name;
    item.toggleAttribute("aria-current", false);
    if (on) {
      item.setAttribute("aria-current", "time");
      document.getElementById("band").replaceWith(Object.assign(item.querySelector(".band").cloneNode(true), { id: "band" }));
    }
  }
}

function needle(strip, at) {
  const start = Date.parse(strip.dataset.start);
  const x = (100 * (at - start)) / (Date.parse(strip.dataset.end) - start);
  for (const name of ["x1", "x2"]) document.getElementById("needle").setAttribute(name, `${Math.min(100, Math.max(0, x))}%`);
}

// Quarter-hour means as the ground, live samples on top as they come.
function sparkline(figure) {
  const plot = figure.querySelector(".plot");
  const steps = figure.dataset.points.split(";").filter(Boolean).map((item) => {
    const [start, end, energy] = item.split(",");
    const [from, to] = [Date.parse(start), Date.parse(end)];
    return { from, to, watts: (Number(energy) * 1000 * 3_600_000) / (to - from) };
  });
  const samples = [];
  let latest = Date.parse(figure.dataset.now);
  const draw = () => {
    const [width, height] = [plot.clientWidth, plot.clientHeight];
    if (!width) return;
    const values = [...steps.map((step) => step.watts), ...samples.map((sample) => sample.watts), 0];
    const [low, high] = [Math.min(...values), Math.max(...values, 100)];
    const x = (at) => Math.max(0, width - 5 - ((latest - at) / WINDOW_MS) * (width - 5));
    const y = (watts) => 5 + (1 - (watts - low) / (high - low)) * (height - 10);
    const shown = steps.filter((step) => step.to > latest - WINDOW_MS);
    const moments = [
      ...shown.flatMap((step) => [{ at: step.from, watts: step.watts, gap: 1 }, { at: step.to, watts: step.watts, gap: step.to - step.from }]),
      ...samples.map((sample) => ({ ...sample, gap: STALE_MS })),
    ];
    // No line is drawn across a hole: where nothing is known for longer than a step or a live value lasts, it ends.
    const runs = [];
    for (const moment of moments) {
      const before = runs.at(-1)?.at(-1);
      const lasts = samples.length && moment.gap === STALE_MS && before && before.gap !== STALE_MS ? QUARTER_MS + STALE_MS : moment.gap;
      if (before && moment.at - before.at <= Math.max(lasts, 1)) runs.at(-1).push(moment);
      else runs.push([moment]);
    }
    const place = ({ at, watts }) => `${x(at).toFixed(1)} ${y(watts).toFixed(1)}`;
    const line = runs.map((run) => `M${run.map(place).join("L")}`).join("");
    const area = runs.map((run) => `M${run.map(place).join("L")}L${x(run.at(-1).at).toFixed(1)} ${y(0).toFixed(1)}L${x(run[0].at).toFixed(1)} ${y(0).toFixed(1)}Z`).join("");
    const image = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    if (line) {
      const last = moments.at(-1);
      image.append(
        svg("path", { d: area, class: "area" }),
        svg("line", { x1: 0, x2: width, y1: y(0), y2: y(0), class: "zero" }),
        svg("path", { d: line, class: "line" }),
      );
      if (samples.length) image.append(svg("circle", { cx: x(last.at), cy: y(last.watts), r: 3.5, class: "tip" }));
    }
    plot.replaceChildren(image);
  };
  new ResizeObserver(draw).observe(plot);
  return (at, watts) => {
    if (samples.at(-1)?.at === at.getTime()) return;
    samples.push({ at: at.getTime(), watts });
    if (samples.length > SAMPLES_MAX) samples.shift();
    latest = Math.max(latest, at.getTime());
    draw();
  };
}
