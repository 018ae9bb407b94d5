// Orders: the list, and one with its lines.

import { confirmed, element, failure, notify } from "./dom.js";
import { country, date, dateTime, money, percent, plainNumber, plural } from "./format.js";
import { carrier, orderStatus } from "./labels.js";
import { listView } from "./list.js";
import { get, remove, text, update } from "./odata.js";
import { address, go } from "./router.js";
import { sees } from "./session.js";
import { forgetSales } from "./sales.js";
import { statusMark } from "./status.js";

export function orderList({ parameters }) {
  return listView({
    path: "orders", collection: "Orders", title: "Orders", noun: ["order", "orders"],
    action: sees("Orders", "Reference") && { path: "orders/new", label: "New order" },
    searchLabel: "Number, customer or reference",
    select: "id,Number,PlacedAt,Status,Total,Reference", expand: "Customer($select=id,Name,City)",
    sort: { name: "placed", descending: true },
    filters: [
      { name: "status", label: "Status", kind: "choice", choices: orderStatus, needs: "Status" },
      { name: "from", label: "From", kind: "date" },
      { name: "to", label: "To", kind: "date" },
    ],
    filter: orderFilter,
    columns: [
      { label: "Number", name: "number", sort: "Number", role: "lead", cell: (row) => element("a", { class: "row-link", href: address(`orders/${row.id}`) }, String(row.Number)) },
      { label: "Placed", name: "placed", sort: "PlacedAt", descendingFirst: true, cell: (row) => element("time", { datetime: row.PlacedAt }, date(row.PlacedAt)) },
      { label: "Customer", name: "customer", sort: "Customer/Name", role: "main", cell: (row) => [element("span", { class: "strong" }, row.Customer?.Name), " ", element("span", { class: "fine" }, row.Customer?.City)] },
      { label: "Status", name: "status", sort: "Status", cell: (row) => statusMark(row.Status) },
      { label: "Total", name: "total", sort: "Total", descendingFirst: true, numeric: true, role: "sum", cell: (row) => money(row.Total) },
    ],
  }, parameters);
}

const isDate = (value) => /^\d{4}-\d{2}-\d{2}$/.test(value ?? "");

function orderFilter({ q, status, from, to }) {
  const parts = [];
  if (status in orderStatus) parts.push(`Status eq ${text(status)}`);
  if (isDate(from)) parts.push(`PlacedAt ge ${from}T00:00:00Z`);
  if (isDate(to)) parts.push(`PlacedAt lt ${nextDay(to)}T00:00:00Z`);
  if (q) {
    const words = text(q.toLowerCase());
    const matches = ["Customer/Name", "Reference"].filter((path) => sees("Orders", path)).map((path) => `contains(tolower(${path}),${words})`);
    if (/^\d{1,15}$/.test(q)) matches.unshift(`Number eq ${q}`);
    parts.push(matches.length ? `(${matches.join(" or ")})` : "false");
  }
  return parts.join(" and ");
}

function nextDay(day) {
  const instant = new Date(`${day}T00:00:00Z`);
  instant.setUTCDate(instant.getUTCDate() + 1);
  return instant.toISOString().slice(0, 10);
}

export const orderExpand = "Customer($select=id,Number,Name,Contact,Phone,Street,PostalCode,City,Country),Lines($orderby=Position;$expand=Product($select=Sku,Name,Unit))";

export async function order({ id }) {
  const path = `Orders(${id})`;
  const row = await get(path, { expand: `${orderExpand},Shipment($expand=HandledBy($select=id,FirstName,LastName))` });
  const title = `Order ${row.Number}`;
  const problem = element("div", {});

  const attempt = async (action) => {
    try {
      await action();
    } catch (error) {
      problem.replaceChildren(failure(error.isConflict ? { message: "Somebody else has just changed this order. Load it again to see how it is now.", code: error.code, requestId: error.requestId } : error));
    }
  };
  const setStatus = (status, words) => attempt(async () => {
    await update(path, { Status: status }, row["@odata.etag"]);
    forgetSales();
    notify(words);
    go(address(`orders/${id}`, { at: Date.now() }), { replace: true });
  });
  const erase = () => attempt(async () => {
    if (!(await confirmed({ title: `Delete order ${row.Number}?`, words: "The order and its lines are gone for good.", action: "Delete" }))) return;
    await remove(path, row["@odata.etag"]);
    forgetSales();
    notify(`Order ${row.Number} is deleted.`);
    go(address("orders"));
  });

  const actions = [
    row.Status === "Draft" && element("button", { type: "button", onclick: () => setStatus("Placed", `Order ${row.Number} is placed.`) }, "Place order"),
    element("a", { class: "button plain", href: address(`orders/${id}/edit`) }, "Edit"),
    row.Status === "Placed" && element("button", { type: "button", class: "plain", onclick: () => setStatus("Cancelled", `Order ${row.Number} is cancelled.`) }, "Cancel order"),
    (row.Status === "Draft" || row.Status === "Cancelled") && !row.Shipment && element("button", { type: "button", class: "plain", onclick: erase }, "Delete"),
  ];
  return {
    title, section: "orders",
    node: [
      element("p", { class: "trail" }, element("a", { href: address("orders") }, "Orders")),
      element("div", { class: "head" }, element("div", { class: "head-title" }, element("h1", { tabindex: "-1" }, title), statusMark(row.Status)), element("div", { class: "actions" }, actions)),
      problem,
      element("div", { class: "two" },
        element("section", { class: "card", "aria-labelledby": "lines-title" }, element("h2", { id: "lines-title" }, plural(row.Lines.length, "line", "lines")), lineTable(row)),
        element("div", { class: "stack" },
          row.Customer && element("section", { class: "card" }, element("h2", {}, "Customer"),
            element("p", {}, element("a", { href: address(`customers/${row.Customer.id}`) }, row.Customer.Name)),
            element("address", {}, [row.Customer.Contact, row.Customer.Street, `${row.Customer.PostalCode ?? ""} ${row.Customer.City}`.trim(), country(row.Customer.Country)].filter(Boolean).map((line) => element("span", {}, line))),
            row.Customer.Phone && element("p", {}, element("a", { href: `tel:${row.Customer.Phone.replaceAll(" ", "")}` }, row.Customer.Phone))),
          element("section", { class: "card" }, element("h2", {}, "Order"), facts([
            ["Placed", dateTime(row.PlacedAt)], ["Required on", date(row.RequiredOn)], ["Reference", row.Reference], ["Remarks", row.Remarks], ["Last change", row.changedAt && dateTime(row.changedAt)],
          ])),
          row.Shipment && element("section", { class: "card" }, element("h2", {}, "Shipment"), facts([
            ["Carrier", carrier[row.Shipment.Carrier]], ["Tracking", row.Shipment.TrackingNumber], ["Left", dateTime(row.Shipment.ShippedAt)], ["Arrived", dateTime(row.Shipment.DeliveredAt)],
            ["Parcels", row.Shipment.Parcels && `${plainNumber(row.Shipment.Parcels)}${row.Shipment.Weight ? `, ${plainNumber(row.Shipment.Weight)} kg` : ""}`],
            ["Handled by", row.Shipment.HandledBy && `${row.Shipment.HandledBy.FirstName} ${row.Shipment.HandledBy.LastName}`],
          ])))),
    ],
  };
}

export const facts = (list) => element("dl", { class: "facts" }, list.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false).map(([label, value]) => element("div", {}, element("dt", {}, label), element("dd", {}, value))));

function lineTable(row) {
  if (row.Lines.length === 0) return element("p", { class: "fine" }, "Nothing has been ordered yet.");
  const withPrices = row.Total !== undefined; // not everybody is told what goods cost
  const amount = (line) => Math.round(line.Quantity * line.UnitPrice * (1 - line.Discount) * 100) / 100;
  return element("table", { role: "table", class: "cards lines" },
    element("caption", { class: "visually-hidden" }, "Lines of the order"),
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, [["Product", ""], ["Quantity", "numeric"], ...(withPrices ? [["Price", "numeric"], ["Discount", "numeric"], ["Amount", "numeric"]] : [])].map(([label, kind]) => element("th", { scope: "col", role: "columnheader", class: kind || null }, label)))),
    element("tbody", { role: "rowgroup" }, row.Lines.map((line) => element("tr", { role: "row" },
      element("td", { role: "cell", class: "main" }, element("span", { class: "strong" }, line.Product.Name), " ", element("span", { class: "fine" }, line.Product.Sku)),
      element("td", { role: "cell", class: "numeric", "data-label": "Quantity" }, plainNumber(line.Quantity)),
      withPrices && [
        element("td", { role: "cell", class: "numeric", "data-label": "Price" }, money(line.UnitPrice)),
        element("td", { role: "cell", class: "numeric", "data-label": "Discount" }, line.Discount > 0 ? `−${percent(line.Discount)}` : "–"),
        element("td", { role: "cell", class: "numeric sum", "data-label": "Amount" }, money(amount(line)))]))),
    withPrices && element("tfoot", { role: "rowgroup" }, element("tr", { role: "row" }, element("th", { scope: "row", role: "rowheader", colspan: "4" }, "Total"), element("td", { role: "cell", class: "numeric" }, money(row.Total)))));
}
