// The few helpers that build SVG; markup is never parsed from text.
const NS = "http://www.w3.org/2000/svg";

export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Round steps of 1, 2, 2.5 or 5 times a power of ten, about `count` of them.
export function ticks(low, high, count) {
  const raw = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw) * power;
  const first = Math.floor(low / step);
  const last = Math.ceil(high / step);
  // the fewest digits that write the step whole: 0.025 has three
  let digits = 0;
  while (digits < 9 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6) digits += 1;
  return { step, digits, values: Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step) };
}

// A bar with its outer corners rounded, from the base line to `top`.
export function bar(x, base, width, top, radius) {
  const up = top < base;
  const r = Math.min(radius, width / 2, Math.abs(base - top));
  const s = up ? 1 : -1;
  return `M${x} ${base}V${top + s * r}Q${x} ${top} ${x + r} ${top}H${x + width - r}Q${x + width} ${top} ${x + width} ${top + s * r}V${base}Z`;
}

export const hatch = (id, className) =>
  svg("pattern", { id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { width: 5, height: 5, class: `${className} hatch-ground` }),
    svg("rect", { width: 2.2, height: 5, class: className }));
