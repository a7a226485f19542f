// Numbers, money and dates in the reader's locale; the page carries exact values and ISO instants.
export const words = JSON.parse(document.getElementById("words").textContent);
export const zone = document.body.dataset.zone || Intl.DateTimeFormat().resolvedOptions().timeZone;
// Numbers and dates are in the language of the page's words: in the reader's own kind of it (de-AT, en-US), else in the
// page's language with the habits of the reader's region.
const locale = (() => {
  const own = document.documentElement.lang;
  const wanted = navigator.languages?.length ? navigator.languages : [own];
  const fitting = wanted.find((tag) => tag.split("-")[0] === own);
  if (fitting) return fitting;
  const region = wanted.map((tag) => tag.match(/-([A-Z]{2}|\d{3})\b/)?.[1]).find(Boolean);
  return `${own}-${region ?? (own === "en" ? "GB" : own.toUpperCase())}`;
})();

export const say = (key, values = {}) =>
  (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

const cache = new Map();
function numberFormat(options) {
  const key = JSON.stringify(options);
  if (!cache.has(key)) cache.set(key, new Intl.NumberFormat(locale, options));
  return cache.get(key);
}
function dateFormat(options) {
  const key = `d${JSON.stringify(options)}`;
  if (!cache.has(key)) cache.set(key, new Intl.DateTimeFormat(locale, options));
  return cache.get(key);
}

export const unitName = (unit) => unit.replace("m3", "m³");
export const number = (value, digits, least = digits) =>
  numberFormat({ minimumFractionDigits: least, maximumFractionDigits: digits }).format(value);
export const quantity = (value, unit) => number(value, unit === "Wh" ? 0 : 2);
export const money = (value, currency) => numberFormat({ style: "currency", currency }).format(value);
export const price = (value, currency) =>
  numberFormat({ style: "currency", currency, minimumFractionDigits: 2, maximumFractionDigits: 4 }).format(value);
export const share = (value, digits = 1) => numberFormat({ style: "percent", maximumFractionDigits: digits }).format(value);
// A share received, never rounded up to 100 %: missing values stay visible.
export const received = (value) => {
  const digits = value > 0.999 && value < 1 ? 2 : 1;
  const scale = 10 ** (digits + 2);
  return share(Math.floor(value * scale + 1e-9) / scale, digits);
};
export const power = (watts) =>
  Math.abs(watts) < 1000 ? [number(Math.abs(watts), 0), "W"] : [number(Math.abs(watts) / 1000, 2), "kW"];

const halves = new Intl.DateTimeFormat(locale, { hour: "numeric" }).resolvedOptions().hour12;
const hour = halves ? "numeric" : "2-digit";
const DATES = {
  clock: { hour, minute: "2-digit" },
  stamp: { day: "numeric", month: "short", hour, minute: "2-digit" },
};
const DAYS = {
  day: { weekday: "long", day: "numeric", month: "long", year: "numeric" },
  month: { month: "long", year: "numeric" },
  short: { day: "numeric", month: "short" },
  weekday: { weekday: "short", day: "numeric", month: "short" },
};

export const clock = (moment) => dateFormat({ ...DATES.clock, timeZone: zone }).format(moment);
// A label on a time axis: 6 AM or 06:00, and a bare number where a clock of 24 hours has little room.
export const hourLabel = (moment, narrow) =>
  halves ? dateFormat({ hour: "numeric", timeZone: zone }).format(moment) : narrow ? String(hourOf(moment)) : clock(moment);
export const hourOf = (moment) =>
  Number(new Intl.DateTimeFormat("en-GB", { hour: "2-digit", hourCycle: "h23", timeZone: zone }).format(moment));
// A calendar day has no zone: it is read and written as UTC noon of itself.
export const calendar = (iso, as) =>
  dateFormat({ ...DAYS[as], timeZone: "UTC" }).format(new Date(`${iso.length === 7 ? `${iso}-01` : iso}T12:00:00Z`));
export const calendarDay = (iso) => number(Number(iso.slice(8)), 0);

export function writeNumber(element) {
  const { kind, unit } = element.dataset;
  const n = element.querySelector(".n");
  const u = element.querySelector(".u");
  if (element.value === "") {
    n.textContent = "–";
    return;
  }
  const value = Number(element.value);
  if (kind === "quantity") n.textContent = quantity(value, unit);
  else if (kind === "register") n.textContent = number(value, 6, 3);
  else if (kind === "money") n.textContent = money(value, unit);
  else if (kind === "price") n.textContent = price(value, unit);
  else if (kind === "count") n.textContent = number(value, 0);
  else if (kind === "share") n.textContent = received(value);
  else if (kind === "power") [n.textContent, u.textContent] = power(value);
}

export function writeTime(element) {
  const { as } = element.dataset;
  if (as in DAYS) element.textContent = calendar(element.dateTime, as);
  else if (as in DATES) element.textContent = dateFormat({ ...DATES[as], timeZone: zone }).format(new Date(element.dateTime));
}

export function localise(root) {
  for (const element of root.querySelectorAll("data.q")) writeNumber(element);
  for (const element of root.querySelectorAll("time[data-as]")) writeTime(element);
  writeHours(root.querySelectorAll("[data-hour]"));
  for (const element of root.querySelectorAll("[data-change]")) writeChange(element);
  for (const element of root.querySelectorAll("[data-words=zone]")) element.textContent = say("zone", { zone: zone.replace("_", " ") });
}

// Hours under the tariff strip; one that would touch its left neighbour is left out.
function writeHours(labels) {
  let edge = -Infinity;
  for (const label of labels) {
    label.textContent = hourLabel(new Date(label.dataset.hour), true);
    const { left, right } = label.getBoundingClientRect();
    if (left < edge + 4) label.textContent = "";
    else edge = right;
  }
}

export function writeChange(element, consumed) {
  const yesterday = Number(element.dataset.yesterday);
  const known = consumed ?? document.querySelector(`[data-live="consumed.${element.dataset.change}"]`).value;
  if (!yesterday || known === "") {
    element.textContent = "";
    return;
  }
  const now = Number(known);
  const change = now / yesterday - 1;
  const key = Math.abs(change) < 0.005 ? "same" : change < 0 ? "less" : "more";
  element.textContent = say(key, { share: share(Math.abs(change), 0) });
  element.classList.toggle("less", key === "less");
  element.classList.toggle("more", key === "more");
}
