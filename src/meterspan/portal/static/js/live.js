// Live numbers by server-sent events: the consumer's power, band and cost, or the operator's headline numbers.
import { clock, number, power, say, writeChange, writeNumber, writeTime } from "./format.js";
import { svg } from "./svg.js";
import { fetchPage, swap } from "./swap.js";

const WINDOW_MS = 2 * 3600 * 1000;
const SAMPLES_MAX = 1200;
// A power value older than this is told with its time and not as what flows now (STALE_S in shapes.py).
const STALE_MS = 120_000;
const REFILL_MS = 600_000;

export function startLive() {
  const home = document.getElementById("live");
  const network = document.getElementById("summary");
  const place = home ?? network;
  if (!place) return;
  const state = document.querySelector("[data-live-state]");
  const tell = (on, key = on ? "live" : "reconnecting") => {
    state.hidden = false;
    state.classList.toggle("off", !on);
    const text = say(key === "live" && document.querySelector("[data-lapse]") ? "time_lapse" : key);
    if (state.lastElementChild.textContent !== text) state.lastElementChild.textContent = text;
  };
  let connected = false;
  let opened = 0;
  const show = home ? consumer(home, (heard) => connected && tell(true, heard ? "live" : "connected")) : operator;
  let source = null;
  const open = () => {
    source = new EventSource(place.dataset.url);
    source.addEventListener("open", () => {
      connected = true;
      if (opened++) show.again?.();
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

// In a time lapse the pages say at what time they are; the note goes when the present is reached.
function showLapse(at) {
  const note = document.querySelector("[data-lapse]");
  if (!note) return;
  if (Math.abs(Date.parse(at) - Date.now()) < 60_000) return note.remove();
  const time = note.querySelector("time");
  time.dateTime = at;
  writeTime(time);
}

function operator(summary) {
  showLapse(summary.at);
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
  setInterval(() => {
    showPower();
    if (heard !== null) spark.goOn(Date.now() + ahead);
  }, 15_000);
  setInterval(() => document.hidden || spark.refill(), REFILL_MS);
  const show = (live) => {
    announce(live.today.map((today) => today.last_reading).join());
    heard = live;
    showLapse(live.at);
    ahead = Date.parse(live.at) - Date.now();
    showPower();
    const none = live.power_w === null;
    if (!none) spark.add(new Date(live.power_at ?? live.at), live.power_w);
    const cost = document.getElementById("cost");
    const lacking = `${[...new Set(live.without_cost)].join(" ")} ${live.incomplete.join(" ")}`;
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
      if (change) {
        change.dataset.yesterday = today.yesterday_same_time ?? "";
        writeChange(change, today.consumed ?? "");
      }
      const until = document.querySelector(`[data-until="${today.commodity}"]`);
      if (until && today.last_reading) until.textContent = say("until", { time: clock(new Date(today.last_reading)) });
      const part = document.querySelector(`[data-share="${today.commodity}"]`);
      const share = today.cost === null || !(live.cost_today > 0) ? 0 : (100 * today.cost) / live.cost_today;
      part?.setAttribute("width", `${Math.min(100, Math.max(0, share))}%`);
    }
    if (strip) needle(strip, new Date(live.at));
    if (band !== null && band !== live.band) showBand(live.band);
    band = live.band;
  };
  return Object.assign(show, { again: () => spark.refill() });
}

function showBand(name) {
  for (const item of document.querySelectorAll(".windows li")) {
    const on = item.dataset.band === name;
    item.toggleAttribute("aria-current", false);
    if (on) {
      item.setAttribute("aria-current", "time");
      document.getElementById("band")?.replaceWith(Object.assign(item.querySelector(".band").cloneNode(true), { id: "band" }));
    }
  }
}

function needle(strip, at) {
  const start = Date.parse(strip.dataset.start);
  const x = (100 * (at - start)) / (Date.parse(strip.dataset.end) - start);
  for (const name of ["x1", "x2"]) document.getElementById("needle").setAttribute(name, `${Math.min(100, Math.max(0, x))}%`);
}

// The power of the last two hours: means of intervals as the ground, what was heard as a line on top. The server sends
// what it knows when the page opens, when the stream comes back and every ten minutes; live samples go on from there.
function sparkline(figure) {
  const plot = figure.querySelector(".plot");
  const caption = figure.querySelector("[data-spark-caption]");
  let heard = parsePoints(figure.dataset.heard);
  let means = parsePoints(figure.dataset.means);
  let samples = [];
  let latest = Date.parse(figure.dataset.now);
  const draw = () => {
    const [width, height] = [plot.clientWidth, plot.clientHeight];
    if (width < 20) return;
    const first = latest - WINDOW_MS;
    const ground = means.filter((mean) => mean.to > first);
    const runs = runsOf(heard.filter((point) => point.to > first), samples.filter((sample) => sample.at > first));
    const values = [...ground.map((mean) => mean.watts), ...runs.flat().map((point) => point.watts)];
    const [low, high] = [Math.min(...values, 0), Math.max(...values, 100)];
    const x = (at) => Math.max(0, width - 5 - ((latest - at) / WINDOW_MS) * (width - 5)).toFixed(1);
    const y = (watts) => (5 + (1 - (watts - low) / (high - low)) * (height - 10)).toFixed(1);
    const blocks = ground.map(({ from, to, watts }) => `M${x(from)} ${y(0)}V${y(watts)}H${x(to)}V${y(0)}Z`).join("");
    const line = runs.map((run) => `M${run.map(({ at, watts }) => `${x(at)} ${y(watts)}`).join("L")}`).join("");
    const image = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    // Above zero flows in, below zero flows out: each has its colour, whatever flows now.
    for (const [way, top, size] of [["import", -9, Number(y(0)) + 9], ["export", Number(y(0)), height]]) {
      const clip = svg("clipPath", { id: `spark-${way}` }, svg("rect", { x: 0, y: top, width, height: Math.max(0, size) }));
      image.append(clip, svg("g", { class: way, "clip-path": `url(#spark-${way})` }, svg("path", { d: blocks, class: "area" }), svg("path", { d: line, class: "line" })));
    }
    image.append(svg("line", { x1: 0, x2: width, y1: y(0), y2: y(0), class: "zero" }));
    const last = runs.at(-1)?.at(-1);
    if (last && samples.length) image.append(svg("circle", { cx: x(last.at), cy: y(last.watts), r: 3.5, class: `tip ${last.watts < 0 ? "export" : "import"}` }));
    plot.replaceChildren(image);
    caption.textContent = say(values.length ? "spark" : "spark_none");
    writeScale(figure, values);
  };
  new ResizeObserver(draw).observe(plot);
  return {
    add(at, watts) {
      if (samples.at(-1)?.at === at.getTime()) return;
      samples.push({ at: at.getTime(), watts });
      if (samples.length > SAMPLES_MAX) samples.shift();
      latest = Math.max(latest, at.getTime());
      draw();
    },
    goOn(now) {
      latest = Math.max(latest, now);
      draw();
    },
    async refill() {
      const answer = await fetch(figure.dataset.url).catch(() => null);
      if (!answer?.ok) return;
      const known = await answer.json();
      const points = (list) => list.map((point) => ({ from: Date.parse(point.start), to: Date.parse(point.end), watts: point.power_w }));
      [heard, means] = [points(known.heard), points(known.means)];
      samples = samples.filter((sample) => sample.at > (heard.at(-1)?.to ?? 0));
      draw();
    },
  };
}

function parsePoints(text) {
  return text.split(";").filter(Boolean).map((item) => {
    const [from, to, watts] = item.split(",").map(Number);
    return { from: from * 1000, to: to * 1000, watts };
  });
}

// Stretches without a hole. A minute goes on into the one that begins where it ends; a live value holds for STALE_MS.
function runsOf(heard, samples) {
  const runs = [];
  let end = -Infinity;
  for (const { from, to, watts } of heard) {
    if (from !== end) runs.push([{ at: from, watts }]);
    runs.at(-1).push({ at: (from + to) / 2, watts });
    end = to;
    runs.at(-1).end = { at: to, watts };
  }
  for (const run of runs) run.push(run.end);
  for (const sample of samples) {
    const before = runs.at(-1)?.at(-1);
    if (before && sample.at <= before.at) continue;
    if (before && sample.at - before.at <= STALE_MS) runs.at(-1).push(sample);
    else runs.push([sample]);
  }
  return runs;
}

function writeScale(figure, values) {
  let scale = figure.querySelector("[data-spark-scale]");
  if (!values.length) return scale?.remove();
  if (!scale) {
    scale = Object.assign(document.createElement("span"), {});
    scale.dataset.sparkScale = "";
    figure.querySelector("figcaption").append(scale);
  }
  scale.textContent = say("spark_of", { low: number(Math.min(...values), 0), high: number(Math.max(...values), 0) });
}
