// Making and changing an order with its lines.

import { element, freshId, icon, icons, notify } from "./dom.js";
import { date, money } from "./format.js";
import { conflictChoice, field, form } from "./form.js";
import { orderStatus } from "./labels.js";
import { create, get, text, update } from "./odata.js";
import { orderExpand } from "./orders.js";
import { picker } from "./picker.js";
import { address, go } from "./router.js";
import { forgetSales } from "./sales.js";

export async function newOrder({ parameters }) {
  const customer = /^[0-9a-f-]{36}$/i.test(parameters.customer ?? "") ? await get(`Customers(${parameters.customer})`, { select: "id,Name,City" }) : null;
  return orderView(null, customer);
}

export async function editOrder({ id }) {
  return orderView(await get(`Orders(${id})`, { expand: orderExpand }));
}

const findCustomer = async (words, signal) => (await get("Customers", { select: "id,Name,City", filter: ["Blocked eq false", words && `contains(tolower(Name),${text(words.toLowerCase())})`].filter(Boolean).join(" and "), orderby: "Name", top: 8 }, { signal })).value;
const findProduct = async (words, signal) => (await get("Products", { select: "Sku,Name,Price,Unit", filter: ["Discontinued eq false", words && `(contains(tolower(Name),${text(words.toLowerCase())}) or startswith(Sku,${text(words.toUpperCase())}))`].filter(Boolean).join(" and "), orderby: "Name", top: 8 }, { signal })).value;

function orderView(row, presetCustomer) {
  const isNew = row === null;
  const title = isNew ? "New order" : `Edit order ${row.Number}`;
  const customer = picker({ name: "Customer", label: "Customer", find: findCustomer, option: (item) => [item.Name, item.City], placeholder: "Type a name", autofocus: isNew && !presetCustomer });
  const status = field({ name: "Status", label: "Status", kind: "choice", choices: isNew ? { Draft: "Draft", Placed: "Placed" } : orderStatus });
  const requiredOn = field({ name: "RequiredOn", label: "Required on", kind: "date", optional: true });
  const reference = field({ name: "Reference", label: "Customer’s reference", optional: true });
  const remarks = field({ name: "Remarks", label: "Remarks", kind: "long", optional: true, wide: true });
  const simple = [status, requiredOn, reference, remarks];
  const lines = lineEditor();
  let etag = row?.["@odata.etag"];

  function write(source) {
    for (const member of simple) member.write(source[member.name]);
    customer.choose(source.Customer ?? null);
    lines.write(source.Lines ?? []);
  }
  write(row ?? { Status: "Placed", Customer: presetCustomer, Lines: [] });
  if (isNew) lines.add();
  const linesBefore = JSON.stringify(lines.read());

  function body() {
    const result = {};
    for (const member of simple) {
      const value = member.read();
      if (isNew ? value !== null : value !== (row[member.name] ?? null)) result[member.name] = value;
    }
    if (customer.value && (isNew || customer.value.id !== row.Customer.id)) result["Customer@odata.bind"] = `Customers(${customer.value.id})`;
    const changed = lines.read();
    if (isNew || JSON.stringify(changed) !== linesBefore) {
      result.Lines = changed;
      result.Total = lines.total();
    }
    return result;
  }

  async function save() {
    const saved = isNew ? await create("Orders", body()) : await update(`Orders(${row.id})`, body(), etag);
    forgetSales();
    notify(isNew ? `Order ${saved.Number} is saved.` : "The changes are saved.");
    go(address(`orders/${saved?.id ?? row.id}`));
  }

  async function conflict(error, again) {
    const theirs = await get(`Orders(${row.id})`, { expand: orderExpand });
    const shown = (member, value) => (member === requiredOn ? date(value) : member === status ? orderStatus[value] : value) ?? "";
    return conflictChoice({
      noun: "order",
      rows: [
        ["Customer", theirs.Customer.Name, customer.value?.Name ?? customer.control.value],
        ...simple.map((member) => [member.label, shown(member, theirs[member.name]), shown(member, member.read())]),
        ["Total", money(theirs.Total), money(lines.total())],
      ],
      onTheirs: () => {
        view.leave();
        go(address(`orders/${row.id}`));
      },
      onMine: () => {
        etag = theirs["@odata.etag"];
        again();
      },
    });
  }

  const view = form({
    groups: [
      { title: "Order", fields: [customer, ...simple] },
      { title: "Lines", node: lines.node },
    ],
    targets: () => [customer, ...simple, ...lines.targets()],
    submitLabel: isNew ? "Save order" : "Save changes",
    cancelTo: isNew ? address("orders") : address(`orders/${row.id}`),
    submit: save, conflict,
  });
  return {
    title, section: "orders", leave: view.leave, isChanged: view.isChanged,
    node: [
      element("p", { class: "trail" }, element("a", { href: address("orders") }, "Orders"), !isNew && [" / ", element("a", { href: address(`orders/${row.id}`) }, `Order ${row.Number}`)]),
      element("div", { class: "head" }, element("h1", { tabindex: "-1" }, title)),
      view.node,
    ],
  };
}

const amountOf = ({ Quantity, UnitPrice, Discount }) => {
  const cents = Math.round(Quantity * UnitPrice * (1 - Discount) * 100);
  return Number.isFinite(cents) ? cents / 100 : 0;
};

function lineEditor() {
  const rows = [];
  const list = element("div", { class: "line-rows" });
  const sum = element("output", { class: "total" }, money(0));
  const node = element("div", { class: "line-editor" }, list,
    element("div", { class: "line-foot" }, element("button", { type: "button", class: "plain", onclick: () => add().product.control.focus() }, icon(icons.plus), "Add a line"), element("p", { class: "line-sum" }, "Total ", sum)));
  const total = () => Math.round(rows.reduce((cents, row) => cents + amountOf(row.read()) * 100, 0)) / 100;

  function add(line = null) {
    const product = picker({
      name: "Product", label: "Product", find: findProduct, placeholder: "Type a product or article number",
      option: (item) => [item.Name, [item.Sku, item.Price !== undefined && money(item.Price)].filter(Boolean).join(" · ")],
      chosen: (item) => {
        if (item.Price !== undefined) price.write(item.Price.toFixed(2));
        recount();
      },
    });
    const quantity = field({ name: "Quantity", label: "Quantity", kind: "integer" });
    const price = field({ name: "UnitPrice", label: "Price", kind: "decimal" });
    const discount = field({ name: "Discount", label: "Discount %", kind: "decimal" });
    const amount = element("output", {}, money(0));
    const number = freshId("line");
    const row = {
      product, amount, parts: [product, quantity, price, discount],
      read() {
        const percentage = discount.read();
        const share = typeof percentage === "number" ? Math.round(percentage * 10) / 1000 : percentage;
        return {
          ...(line?.id ? { id: line.id } : {}),
          Position: rows.indexOf(row) + 1, Quantity: quantity.read(), UnitPrice: price.read(), Discount: share ?? 0,
          ...(product.value ? { "Product@odata.bind": `Products(${text(product.value.Sku)})` } : {}),
        };
      },
      node: element("div", { class: "line-row", role: "group", "aria-label": "Line", id: number }, product.node, quantity.node, price.node, discount.node,
        element("p", { class: "line-amount" }, element("span", { class: "fine" }, "Amount "), amount),
        element("button", { type: "button", class: "quiet square", "aria-label": "Remove this line", onclick: () => drop(row) }, icon(icons.close))),
    };
    rows.push(row);
    quantity.write(line?.Quantity ?? 1);
    price.write(line ? line.UnitPrice.toFixed(2) : "");
    discount.write(line ? Math.round(line.Discount * 1000) / 10 : 0);
    if (line?.Product) product.choose(line.Product);
    row.node.addEventListener("input", recount);
    list.append(row.node);
    recount();
    return row;
  }

  function drop(row) {
    const index = rows.indexOf(row);
    rows.splice(index, 1);
    row.node.remove();
    recount();
    (rows[Math.min(index, rows.length - 1)]?.product.control ?? node.querySelector(".line-foot button")).focus();
  }

  function recount() {
    rows.forEach((row, index) => {
      row.amount.textContent = money(amountOf(row.read()));
      row.node.setAttribute("aria-label", `Line ${index + 1}`);
    });
    sum.textContent = money(total());
  }

  return {
    node, add, total,
    read: () => rows.map((row) => row.read()),
    write(lines) {
      rows.length = 0;
      list.replaceChildren();
      lines.forEach((line) => add(line));
      recount();
    },
    // The service names a line by its place: Lines/0/Quantity.
    targets: () => rows.flatMap((row, index) => row.parts.map((part) => ({ name: `Lines/${index}/${part.name}`, label: `Line ${index + 1}, ${part.label}`, control: part.control, fault: part.fault }))),
  };
}
