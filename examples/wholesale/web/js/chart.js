// Sales by month as columns. Each column is a link to the month's orders, so keys and screen readers reach it.

import { element, svg } from "./dom.js";
import { date, moneyRounded, moneyShort, monthLetterName, monthName, plural } from "./format.js";
import { address } from "./router.js";

const LEFT = 52;
const BOTTOM = 40;
const TOP = 12;

/** `months`: [{ start, end, total, count }]; `before`: the same months of the year before, or nothing. */
export function salesChart(months, before = null) {
  const box = element("div", { class: "chart" });
  const tip = element("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  const draw = () => {
    const width = Math.round(box.clientWidth);
    if (width > 0) box.replaceChildren(drawing(months, before, width, tip), tip);
  };
  new ResizeObserver(draw).observe(box);
  return element("figure", { class: "figure" }, box,
    before && element("p", { class: "legend", "aria-hidden": "true" }, element("span", {}, "Last twelve months"), element("span", { class: "before" }, "The year before")),
    element("details", {}, element("summary", {}, "The numbers as a table"), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Sales by month as a table" }, numbers(months, before))));
}

function drawing(months, before, width, tip) {
  const height = width < 560 ? 230 : 300;
  const plotWidth = width - LEFT;
  const plotHeight = height - BOTTOM - TOP;
  const top = niceCeiling(Math.max(1, ...months.map(({ total }) => total), ...(before ?? []).map(({ total }) => total)));
  const y = (value) => TOP + plotHeight * (1 - value / top);
  const slot = plotWidth / months.length;
  const bar = Math.max(2, Math.min(46, slot * 0.66));
  const every = slot < 26 ? 3 : 1;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": `Sales by month, ${monthName(months[0].start)} to ${monthName(months.at(-1).start)}` });

  for (let step = 0; step <= 4; step += 1) {
    const value = (top / 4) * step;
    root.append(
      svg("line", { class: step === 0 ? "axis" : "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
      svg("text", { class: "scale", x: LEFT - 10, y: y(value) + 4, "text-anchor": "end", "aria-hidden": "true" }, moneyShort(value)));
  }
  months.forEach((month, index) => {
    const middle = LEFT + slot * (index + 0.5);
    const old = before?.[index];
    const words = `${monthName(month.start)}: ${moneyRounded(month.total)}, ${plural(month.count, "order", "orders")}`;
    const link = svg("a", { class: "month", href: address("orders", { from: day(month.start), to: day(month.end - 86_400_000) }), "aria-label": words },
      svg("rect", { class: "hit", x: LEFT + slot * index, y: TOP, width: slot, height: plotHeight + BOTTOM }),
      old && svg("rect", { class: "old", x: middle - bar / 2 - 3, y: y(old.total), width: bar, height: Math.max(0, y(0) - y(old.total)), rx: 2 }),
      svg("rect", { class: "column", x: middle - bar / 2 + (old ? 3 : 0), y: y(month.total), width: bar, height: Math.max(0, y(0) - y(month.total)), rx: 2 }));
    const showTip = () => {
      tip.replaceChildren(element("strong", {}, monthName(month.start)), element("span", {}, moneyRounded(month.total)), element("span", { class: "fine" }, plural(month.count, "order", "orders")), old ? element("span", { class: "fine" }, `${moneyRounded(old.total)} the year before`) : "");
      tip.hidden = false;
      const half = tip.offsetWidth / 2;
      tip.style.left = `${Math.min(width - half, Math.max(half, middle))}px`;
      tip.style.top = `${Math.max(0, y(Math.max(month.total, old?.total ?? 0)) - tip.offsetHeight - 10)}px`;
    };
    const hideTip = () => { tip.hidden = true; };
    for (const [name, listener] of [["pointerenter", showTip], ["pointerleave", hideTip], ["focus", showTip], ["blur", hideTip]]) link.addEventListener(name, listener);
    root.append(link);
    const monthNumber = new Date(month.start).getUTCMonth();
    if (monthNumber % every === 0) root.append(svg("text", { class: "scale", x: middle, y: height - BOTTOM + 18, "text-anchor": "middle", "aria-hidden": "true" }, monthLetterName(month.start)));
    if (monthNumber === 0 || index === 0) root.append(svg("text", { class: "year", x: index === 0 ? LEFT + 2 : middle, y: height - 4, "text-anchor": index === 0 ? "start" : "middle", "aria-hidden": "true" }, String(new Date(month.start).getUTCFullYear())));
  });
  return root;
}

const day = (instant) => new Date(instant).toISOString().slice(0, 10);

function niceCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((candidate) => candidate >= value);
}

function numbers(months, before) {
  return element("table", {}, element("caption", { class: "visually-hidden" }, `Sales by month, up to ${date(months.at(-1).end - 1)}`),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Month"), element("th", { scope: "col", class: "numeric" }, "Sales"), element("th", { scope: "col", class: "numeric" }, "Orders"), before && element("th", { scope: "col", class: "numeric" }, "Year before"))),
    element("tbody", {}, months.map((month, index) => element("tr", {}, element("th", { scope: "row" }, monthName(month.start)), element("td", { class: "numeric" }, moneyRounded(month.total)), element("td", { class: "numeric" }, String(month.count)), before && element("td", { class: "numeric" }, moneyRounded(before[index].total))))));
}
