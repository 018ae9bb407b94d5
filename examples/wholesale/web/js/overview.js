// The first page: how sales go, and what is to be done.

import { salesChart } from "./chart.js";
import { orderRows } from "./customers.js";
import { element, failure } from "./dom.js";
import { money, moneyShort, percent, plainNumber } from "./format.js";
import { skeleton } from "./list.js";
import { count, get } from "./odata.js";
import { address } from "./router.js";
import { salesByMonth } from "./sales.js";
import { sees, signedIn } from "./session.js";

export function overview({ parameters }) {
  const figures = element("div", { class: "figures", "aria-busy": "true" }, Array.from({ length: 4 }, () => element("div", { class: "figure-box" }, element("p", { class: "fine" }, " "), element("p", { class: "big" }, " "))));
  const chart = element("div", { class: "chart-place", "aria-busy": "true" });
  const latest = element("div", {}, skeleton(4, 6));
  const waiting = element("div", {}, skeleton(4, 6));
  const choice = element("div", { class: "segments", role: "group", "aria-label": "Time shown" });
  let span = parameters.span;

  async function drawChart() {
    choice.replaceChildren(...[["", "One year"], ["3", "Three years"]].map(([value, label]) => element("a", { href: address("", { span: value }), "aria-current": (span ?? "") === value ? "true" : null }, label)));
    try {
      const months = await salesByMonth(36);
      chart.removeAttribute("aria-busy");
      if (months.length === 0) {
        chart.replaceChildren(element("p", { class: "fine" }, "No sales yet."));
        return;
      }
      chart.replaceChildren(span === "3" ? salesChart(months) : salesChart(months.slice(-12), months.slice(-24, -12)));
    } catch (error) {
      chart.replaceChildren(failure(error, drawChart));
    }
  }

  async function drawFigures() {
    try {
      const [months, open] = await Promise.all([salesByMonth(24), count("Orders", "Status eq 'Draft' or Status eq 'Placed'")]);
      const sum = (list, name) => list.reduce((total, month) => total + month[name], 0);
      const [before, now] = [months.slice(0, 12), months.slice(12)];
      const [total, orders] = [sum(now, "total"), sum(now, "count")];
      const [totalBefore, ordersBefore] = [sum(before, "total"), sum(before, "count")];
      figures.replaceChildren(
        figure("Sales, twelve months", moneyShort(total), change(total, totalBefore)),
        figure("Orders, twelve months", plainNumber(orders), change(orders, ordersBefore)),
        figure("Average order", orders ? money(total / orders) : "–", ordersBefore ? change(total / orders, totalBefore / ordersBefore) : null),
        figure("Open orders", plainNumber(open), element("a", { href: address("orders", { status: "Placed" }) }, "See those placed")));
      figures.removeAttribute("aria-busy");
    } catch (error) {
      figures.replaceChildren(failure(error, drawFigures));
    }
  }

  async function drawOrders(place, filter, orderby, empty) {
    try {
      const { value } = await get("Orders", { select: "id,Number,PlacedAt,Status,Total", expand: "Customer($select=id,Name)", filter, orderby, top: 6 });
      place.replaceChildren(value.length ? orderRows(value) : element("p", { class: "fine" }, empty));
    } catch (error) {
      place.replaceChildren(failure(error, () => drawOrders(place, filter, orderby, empty)));
    }
  }

  const hasSales = sees("Orders", "Total"); // not everybody is told what is sold for how much
  if (!sees("Orders")) return greeting();
  if (hasSales) {
    drawChart();
    drawFigures();
  }
  drawOrders(latest, null, "PlacedAt desc", "No orders yet.");
  drawOrders(waiting, "Status eq 'Placed'", "RequiredOn,PlacedAt", "Nothing waits to be shipped.");

  return {
    title: "Overview", section: "overview",
    node: [
      element("div", { class: "head" }, element("h1", { tabindex: "-1" }, "Overview"), hasSales && element("a", { class: "button", href: address("orders/new") }, "New order")),
      hasSales && figures,
      hasSales && element("section", { class: "card", "aria-labelledby": "sales-title" }, element("div", { class: "card-head" }, element("h2", { id: "sales-title" }, "Sales by month"), choice), chart),
      element("div", { class: "halves" },
        element("section", { class: "card" }, element("div", { class: "card-head" }, element("h2", {}, "Latest orders"), element("a", { href: address("orders") }, "All orders")), latest),
        element("section", { class: "card" }, element("div", { class: "card-head" }, element("h2", {}, "To be shipped next"), element("a", { href: address("orders", { status: "Placed" }) }, "All placed")), waiting)),
    ],
    update(next) {
      span = next.span;
      if (hasSales) drawChart();
    },
  };
}

/** For those whose role is about something else. */
const greeting = () => ({
  title: "Overview", section: "overview",
  node: [
    element("div", { class: "head" }, element("h1", { tabindex: "-1" }, `Welcome, ${signedIn().fullName || signedIn().name}`)),
    element("p", { class: "fine" }, signedIn().roles.length ? "Choose above what you want to see." : "You have no role yet: ask whoever looks after this application."),
  ],
});

const figure = (label, value, more) => element("div", { class: "figure-box" }, element("p", { class: "fine" }, label), element("p", { class: "big" }, value), more && element("p", { class: "more" }, more));

function change(now, before) {
  if (!(before > 0)) return null;
  const share = now / before - 1;
  return element("span", { class: share >= 0 ? "up" : "down" }, `${share >= 0 ? "+" : "−"}${percent(Math.abs(share))} on the year before`);
}
