// The day and month charts, drawn from the page's own table, and browsing without a full reload.
import { calendar, calendarDay, clock, hourLabel, hourOf, money, number, price, quantity, say, unitName } from "./format.js";
import { bar, hatch, svg, ticks } from "./svg.js";
import { fetchPage, onNewData, swap } from "./swap.js";

const SLOTS = ["low", "mid", "high", "peak", "flat"];

export function startHistory() {
  if (!document.getElementById("history")) return;
  drawHistory();
  onNewData(5_000, refresh);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    browse(link.href, link);
  });
  addEventListener("popstate", () => browse(location.href, null));
  addEventListener("keydown", (event) => {
    if (event.target.closest("input, textarea, select") || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { "[": "previous", "]": "following" }[event.key];
    document.querySelector(`#history [data-step=${step}]`)?.click();
  });
}

let latest = 0;
async function browse(url, link) {
  const turn = ++latest;
  document.getElementById("browse").setAttribute("aria-busy", "true");
  try {
    const page = await fetchPage(url);
    if (turn !== latest) return;
    const again = link && focusKey(link);
    const fresh = swap(page, "browse");
    if (link) history.pushState(null, "", url);
    drawHistory();
    const target = again && fresh.querySelector(again);
    (target ?? fresh.querySelector("#history .when a"))?.focus({ preventScroll: true });
  } catch {
    location.href = url;
  }
}

// The shown day or month goes on while it is read: drawn anew when readings came, unless somebody is in the chart.
async function refresh() {
  const section = document.getElementById("history");
  if (!section || Date.parse(section.dataset.end) < Date.parse(section.dataset.now) || section.matches(":hover, :focus-within")) return;
  const turn = latest;
  const page = await fetchPage(location.href);
  const open = section.querySelector(".values").open;
  if (turn !== latest || document.getElementById("browse").contains(document.activeElement)) return;
  swap(page, "browse").querySelector(".values").open = open;
  drawHistory();
}

function focusKey(link) {
  if (link.dataset.step) return `#history [data-step=${link.dataset.step}]`;
  if (link.closest(".tiles, .segments")) return `.${link.parentElement.className} [aria-current]`;
  return null;
}

function drawHistory() {
  const section = document.getElementById("history");
  if (!section) return; // its supply is damaged, and the page says so
  const plot = section.querySelector("[data-plot]");
  const rows = [...section.querySelectorAll("[data-rows] tr")].map((row) => ({ ...row.dataset }));
  localiseTable(section);
  for (const key of ["estimated", "doubtful", "missing", "partial"])
    section.querySelector(`[data-key=${key}]`).hidden = !rows.some((row) => row.state === key || (key === "estimated" && row.state === "edited"));
  const model = section.dataset.span === "day" ? dayModel(section, rows) : monthModel(section, rows);
  const draw = () => plot.clientWidth && chart(section, plot, model);
  new ResizeObserver(draw).observe(plot);
}

function localiseTable(section) {
  const { currency, span } = section.dataset;
  for (const row of section.querySelectorAll("[data-rows] tr")) {
    const cells = row.cells;
    const head = span === "day" ? cells[0] : cells[0].firstElementChild;
    head.textContent = span === "day" ? clock(new Date(row.dataset.start)) : calendar(row.dataset.start, "weekday");
    for (const cell of row.querySelectorAll("td.num")) {
      const value = cell.textContent;
      if (value === "–") continue;
      cell.textContent = cell.cellIndex === (span === "day" ? 3 : cells.length - 2) ? money(Number(value), currency) : number(Number(value), 3);
    }
  }
}

function dayModel(section, rows) {
  const { unit, currency } = section.dataset;
  const start = Date.parse(section.dataset.start);
  const end = Date.parse(section.dataset.end);
  const now = Date.parse(section.dataset.now);
  const windows = section.querySelector("[data-windows]").textContent.split(";").filter(Boolean).map((item) => item.split(","));
  return {
    columns: rows.map((row) => {
      const [from, to] = [Date.parse(row.start), Date.parse(row.end)];
      const state = row.state;
      return {
        x0: (from - start) / (end - start),
        x1: (to - start) / (end - start),
        state,
        parts: row.value === "" ? [] : [[row.slot, Number(row.value)]],
        total: row.value === "" ? null : Number(row.value),
        head: row.value === "" ? say(state) : `${quantity3(Number(row.value))} ${unitName(unit)}`,
        cost: row.cost === "" ? "" : money3(Number(row.cost), currency),
        sub: [`${clock(new Date(from))}–${clock(new Date(to))}`, row.band, ["measured", "future", "missing", "awaited"].includes(state) ? "" : say(state)].filter(Boolean).join(" · "),
      };
    }),
    windows: windows.length < 2 ? [] : windows.map(([from, to, slot]) => ({ x0: (Date.parse(from) - start) / (end - start), x1: (Date.parse(to) - start) / (end - start), slot })),
    now: now > start && now < end ? (now - start) / (end - start) : null,
    labels: (width) => {
      const step = width < 440 ? 6 : width < 760 ? 3 : 2;
      const labels = [];
      for (let at = start; at < end; at += 3_600_000) {
        const hour = hourOf(new Date(at));
        if (hour % step === 0) labels.push([(at - start) / (end - start), hourLabel(new Date(at), false)]);
      }
      return labels.filter(([, text], index) => index === 0 || text !== labels[index - 1][1]);
    },
    centred: false,
  };
}

const quantity3 = (value) => number(value, 3, 2);
const money3 = (value, currency) => price(Math.round(value * 1000) / 1000, currency);

function monthModel(section, rows) {
  const { unit, currency } = section.dataset;
  const n = rows.length;
  return {
    columns: rows.map((row, index) => ({
      x0: index / n,
      x1: (index + 1) / n,
      state: row.state,
      parts: row.parts.split(";").filter(Boolean).map((item) => item.split("=")).map(([slot, value]) => [slot, Number(value)]),
      total: row.value === "" ? null : Number(row.value),
      head: row.value === "" ? say(row.state) : `${quantity(Number(row.value), unit)} ${unitName(unit)}`,
      cost: row.cost === "" ? "" : money(Number(row.cost), currency),
      sub: [calendar(row.start, "weekday"), row.state === "partial" ? `${say("partial")}: ${say("received", { r: row.received, e: row.expected })}` : ""].filter(Boolean).join(" · "),
      href: row.state === "future" ? null : row.href,
      weekend: [0, 6].includes(new Date(`${row.start}T12:00:00Z`).getUTCDay()),
    })),
    windows: [],
    now: null,
    labels: (width) => {
      const step = width < 440 ? 5 : width < 760 ? 2 : 1;
      return rows.map((row, index) => [(index + 0.5) / n, calendarDay(row.start), index]).filter(([, , index]) => index === 0 || (index + 1) % step === 0 || step === 1);
    },
    centred: true,
  };
}

const MARGIN = { top: 26, right: 6, bottom: 30, left: 40 };
const pen = document.createElement("canvas").getContext("2d");
// Room for the longest label of the scale, so that none is cut off.
function leftOf(labels) {
  pen.font = '12px "Inter Variable", Inter, sans-serif';
  return Math.max(MARGIN.left, 12 + Math.ceil(Math.max(...labels.map((label) => pen.measureText(label).width))));
}

function chart(section, plot, model) {
  const width = plot.clientWidth;
  const height = plot.clientHeight;
  const sums = model.columns.flatMap((column) => [
    column.parts.reduce((sum, [, value]) => sum + Math.max(0, value), 0),
    column.parts.reduce((sum, [, value]) => sum + Math.min(0, value), 0),
  ]);
  const scale = ticks(Math.min(0, ...sums), Math.max(...sums, 0.001), 4);
  const [low, high] = [scale.values[0], scale.values.at(-1)];
  const { digits } = scale;
  const left = leftOf([unitName(section.dataset.unit), ...scale.values.map((value) => number(value, digits))]);
  const [w, h] = [width - left - MARGIN.right, height - MARGIN.top - MARGIN.bottom];
  if (w <= 0 || h <= 0) return; // not laid out yet
  const x = (share) => left + share * w;
  const y = (value) => MARGIN.top + (1 - (value - low) / (high - low)) * h;
  const base = y(0);
  const image = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  image.append(svg("defs", {}, ...SLOTS.map((slot) => hatch(`hatch-${slot}`, `fill-${slot}`)), hatch("hatch-none", "fill-none")));

  for (const { x0, x1, slot } of model.windows) {
    image.append(
      svg("rect", { x: x(x0), y: MARGIN.top, width: (x1 - x0) * w, height: h, class: `ground fill-${slot}` }),
      svg("rect", { x: x(x0) + 0.5, y: height - MARGIN.bottom + 3, width: Math.max(0, (x1 - x0) * w - 1), height: 3, rx: 1.5, class: `fill-${slot}` }),
    );
  }
  const known = model.columns.some((column) => column.parts.length);
  for (const value of known ? scale.values : [0]) {
    image.append(
      svg("line", { x1: left, x2: width - MARGIN.right, y1: y(value), y2: y(value), class: value === 0 ? "axis" : "grid" }),
      ...(known ? [svg("text", { x: left - 8, y: y(value) + 3.5, class: "tick end" }, number(value, digits))] : []),
    );
  }
  image.append(svg("text", { x: left - 8, y: 10, class: "tick end" }, unitName(section.dataset.unit)));
  for (const [share_, text] of model.labels(width))
    image.append(svg("text", { x: x(share_), y: height - 8, class: `tick ${model.centred ? "middle" : share_ === 0 ? "" : "middle"}` }, text));

  const cursor = svg("rect", { y: MARGIN.top, height: h, class: "cursor", width: 0, x: 0 });
  image.append(cursor);
  const groups = model.columns.map((column) => drawColumn(column, { x, y, base, w, h }));
  image.append(...groups);
  if (model.now !== null) image.append(svg("line", { x1: x(model.now), x2: x(model.now), y1: MARGIN.top - 6, y2: base, class: "now-line" }));

  plot.replaceChildren(image, handle(section, plot, model, { x, w, left, cursor, image, groups }));
}

function drawColumn(column, { x, y, base, w, h }) {
  const span = (column.x1 - column.x0) * w;
  const gap = span > 12 ? Math.min(6, span * 0.24) : span > 4 ? 1.5 : 0.6;
  const [left, size] = [x(column.x0) + gap / 2, Math.max(1, span - gap)];
  const group = svg("g", { class: `column ${column.state}${column.weekend ? " weekend" : ""}` });
  if (column.state === "missing") {
    group.append(svg("rect", { x: left - gap / 2, width: span, y: MARGIN.top, height: h, fill: "url(#hatch-none)", class: "void" }));
    return group;
  }
  let [above, below] = [0, 0];
  const last = column.parts.length - 1;
  column.parts.forEach(([slot, value], index) => {
    const from = value < 0 ? below : above;
    const to = from + value;
    if (value < 0) below = to; else above = to;
    const shape = index === last
      ? svg("path", { d: bar(left, y(from), size, y(to), 3) })
      : svg("rect", { x: left, width: size, y: Math.min(y(from), y(to)), height: Math.abs(y(to) - y(from)) });
    const hatched = ["estimated", "edited", "doubtful", "partial"].includes(column.state);
    if (hatched) shape.setAttribute("fill", `url(#hatch-${slot})`);
    shape.setAttribute("class", hatched ? `bar stroke-${slot}` : `bar fill-${slot}`);
    group.append(shape);
  });
  return group;
}

// One slider over the chart: pointer, touch and arrow keys move through the columns and the readout tells.
function handle(section, plot, model, { x, w, left, cursor, image, groups }) {
  const main = section.querySelector("[data-readout]");
  const sub = section.querySelector("[data-readout-sub]");
  main.rest ??= [[...main.childNodes], sub.textContent];
  const usable = model.columns.map((column, index) => [column, index]).filter(([column]) => column.state !== "future");
  const slider = document.createElement("div");
  Object.entries({ class: "slider", role: "slider", tabindex: "0", "aria-label": plot.dataset.label, "aria-valuemin": 0, "aria-valuemax": Math.max(0, model.columns.length - 1), "aria-valuenow": 0, "aria-valuetext": main.textContent.replace(/\s+/g, " ").trim() })
    .forEach(([key, value]) => slider.setAttribute(key, value));
  let at = null;
  const rest = () => {
    at = null;
    image.classList.remove("picking");
    groups.forEach((group) => group.classList.remove("picked"));
    cursor.setAttribute("width", 0);
    main.replaceChildren(...main.rest[0]);
    sub.textContent = main.rest[1];
  };
  const pick = (index) => {
    const column = model.columns[index];
    if (!column || column.state === "future") return rest();
    if (at === index) return;
    at = index;
    image.classList.add("picking");
    groups.forEach((group, other) => group.classList.toggle("picked", other === index));
    cursor.setAttribute("x", x(column.x0));
    cursor.setAttribute("width", (column.x1 - column.x0) * w);
    const dot = Object.assign(document.createElement("span"), { className: "dot", textContent: "·" });
    main.replaceChildren(column.head, ...(column.cost ? [dot, column.cost] : []));
    sub.textContent = column.sub;
    slider.setAttribute("aria-valuenow", index);
    slider.setAttribute("aria-valuetext", [column.sub, column.head, column.cost].filter(Boolean).join(", "));
  };
  const indexAt = (event) => {
    const share = (event.clientX - plot.getBoundingClientRect().left - left) / w;
    return model.columns.findIndex((column) => share >= column.x0 && share < column.x1);
  };
  slider.addEventListener("pointermove", (event) => pick(indexAt(event)));
  slider.addEventListener("pointerdown", (event) => pick(indexAt(event)));
  slider.addEventListener("pointerleave", rest);
  slider.addEventListener("blur", rest);
  const open = () => {
    const href = at !== null && model.columns[at].href;
    if (href) section.querySelector(`a[data-swap][href="${CSS.escape(href)}"]`)?.click();
  };
  slider.addEventListener("click", (event) => {
    if (event.pointerType !== "touch") open();
  });
  slider.addEventListener("keydown", (event) => {
    const where = usable.findIndex(([, index]) => index === at);
    const moves = { ArrowLeft: where - 1, ArrowDown: where - 1, ArrowRight: where + 1, ArrowUp: where + 1, Home: 0, End: usable.length - 1, PageUp: where + 4, PageDown: where - 4 };
    if (event.key === "Enter") open();
    else if (event.key === "Escape") rest();
    else if (event.key in moves && usable.length) pick(usable[Math.min(usable.length - 1, Math.max(0, moves[event.key]))][1]);
    else return;
    event.preventDefault();
  });
  return slider;
}
