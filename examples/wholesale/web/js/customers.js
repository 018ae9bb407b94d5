// Customers: the list, one with the latest orders, making and changing one.

import { confirmed, element, failure, notify } from "./dom.js";
import { country, date, money, moneyRounded, plural, time } from "./format.js";
import { conflictChoice, field, form } from "./form.js";
import { customerKind, regions } from "./labels.js";
import { listView } from "./list.js";
import { create, get, page, remove, text, update } from "./odata.js";
import { facts } from "./orders.js";
import { address, go } from "./router.js";
import { sees } from "./session.js";
import { statusMark } from "./status.js";

export async function customerList({ parameters }) {
  const regionNames = sees("Regions") ? await regions(get) : {};
  return listView({
    path: "customers", collection: "Customers", title: "Customers", noun: ["customer", "customers"],
    action: sees("Customers", "Credit") && { path: "customers/new", label: "New customer" },
    searchLabel: "Name, town or e-mail",
    select: "id,Number,Name,Kind,City,Country,Since,Blocked", expand: "Region($select=Code,Name)",
    sort: { name: "name", descending: false },
    filters: [
      { name: "region", label: "Region", kind: "choice", choices: regionNames, needs: "Region" },
      { name: "kind", label: "Kind", kind: "choice", choices: customerKind, needs: "Kind" },
    ],
    filter({ q, region, kind }) {
      const words = q && text(q.toLowerCase());
      return [
        region in regionNames && `Region/Code eq ${text(region)}`,
        kind in customerKind && `Kind eq ${text(kind)}`,
        words && `(${["Name", "City", "Email"].filter((path) => sees("Customers", path)).map((path) => `contains(tolower(${path}),${words})`).join(" or ")})`,
      ].filter(Boolean).join(" and ");
    },
    columns: [
      { label: "Name", name: "name", sort: "Name", role: "lead main", cell: (row) => [element("a", { class: "row-link strong", href: address(`customers/${row.id}`) }, row.Name), row.Blocked && element("span", { class: "tag" }, "Blocked")] },
      { label: "Kind", name: "kind", sort: "Kind", cell: (row) => customerKind[row.Kind] },
      { label: "Town", name: "town", sort: "City", cell: (row) => [row.City, " ", element("span", { class: "fine" }, country(row.Country))] },
      { label: "Region", name: "region", sort: "Region/Name", cell: (row) => row.Region?.Name },
      { label: "Since", name: "since", sort: "Since", descendingFirst: true, cell: (row) => element("time", { datetime: row.Since }, date(row.Since)) },
    ],
  }, parameters);
}

const detailExpand = "Region($select=Code,Name),CaredBy($select=id,FirstName,LastName,Email)";

export async function customer({ id }) {
  const path = `Customers(${id})`;
  const [row, orders] = await Promise.all([
    get(path, { expand: detailExpand }),
    !sees("Customers", "Orders") ? { rows: [], count: null } : page(`${path}/Orders`, { select: "id,Number,PlacedAt,Status,Total", orderby: "PlacedAt desc", top: 8 }),
  ]);
  const problem = element("div", {});
  const erase = async () => {
    try {
      if (!(await confirmed({ title: `Delete ${row.Name}?`, words: "A customer with orders cannot be deleted.", action: "Delete" }))) return;
      await remove(path, row["@odata.etag"]);
      notify(`${row.Name} is deleted.`);
      go(address("customers"));
    } catch (error) {
      problem.replaceChildren(failure(error));
    }
  };
  return {
    title: row.Name, section: "customers",
    node: [
      element("p", { class: "trail" }, element("a", { href: address("customers") }, "Customers")),
      element("div", { class: "head" },
        element("div", { class: "head-title" }, element("h1", { tabindex: "-1" }, row.Name), row.Blocked && element("span", { class: "tag" }, "Blocked")),
        element("div", { class: "actions" },
          element("a", { class: "button", href: address("orders/new", { customer: id }) }, "New order"),
          element("a", { class: "button plain", href: address(`customers/${id}/edit`) }, "Edit"),
          orders.count === 0 && element("button", { type: "button", class: "plain", onclick: erase }, "Delete"))),
      problem,
      element("div", { class: "two" },
        orders.count !== null && element("section", { class: "card", "aria-labelledby": "orders-title" },
          element("div", { class: "card-head" }, element("h2", { id: "orders-title" }, plural(orders.count, "order", "orders")), orders.count > orders.rows.length && element("a", { href: address("orders", { q: row.Name }) }, "All of them")),
          orders.rows.length === 0 ? element("p", { class: "fine" }, "No orders yet.") : orderRows(orders.rows)),
        element("div", { class: "stack" },
          element("section", { class: "card" }, element("h2", {}, "Contact"),
            row.Contact && element("p", {}, row.Contact),
            element("address", {}, [row.Street, `${row.PostalCode ?? ""} ${row.City}`.trim(), country(row.Country)].filter(Boolean).map((line) => element("span", {}, line))),
            row.Phone && element("p", {}, element("a", { href: `tel:${row.Phone.replaceAll(" ", "")}` }, row.Phone)),
            row.Email && element("p", {}, element("a", { href: `mailto:${row.Email}` }, row.Email))),
          element("section", { class: "card" }, element("h2", {}, "Customer"), facts([
            ["Number", row.Number], ["Kind", customerKind[row.Kind]], ["Region", row.Region?.Name], ["Cared for by", row.CaredBy && `${row.CaredBy.FirstName} ${row.CaredBy.LastName}`], ["Since", row.Since && date(row.Since)],
            ["Credit limit", row.Credit !== undefined && moneyRounded(row.Credit)], ["Pays", row.Rating && `${row.Rating} of 5`], ["Delivery from", time(row.DeliverFrom)], ["Notes", row.Notes],
          ])))),
    ],
  };
}

export function orderRows(rows) {
  return element("table", { role: "table", class: "cards brief" },
    element("caption", { class: "visually-hidden" }, "Orders"),
    element("thead", { role: "rowgroup", class: "visually-hidden" }, element("tr", { role: "row" }, ["Number", "Placed", "Status", "Total"].map((label) => element("th", { scope: "col", role: "columnheader" }, label)))),
    element("tbody", { role: "rowgroup" }, rows.map((row) => element("tr", { role: "row" },
      element("td", { role: "cell", class: "lead" }, element("a", { class: "row-link", href: address(`orders/${row.id}`) }, String(row.Number))),
      element("td", { role: "cell", class: "main" }, row.Customer ? element("span", { class: "strong" }, row.Customer.Name) : date(row.PlacedAt), row.Customer && [" ", element("span", { class: "fine" }, date(row.PlacedAt))]),
      element("td", { role: "cell" }, statusMark(row.Status)),
      element("td", { role: "cell", class: "numeric sum" }, row.Total === undefined ? "" : money(row.Total))))));
}

export async function newCustomer() {
  return customerView(null, await regions(get));
}

export async function editCustomer({ id }) {
  const [row, regionNames] = await Promise.all([get(`Customers(${id})`, { expand: detailExpand }), regions(get)]);
  return customerView(row, regionNames);
}

function customerView(row, regionNames) {
  const isNew = row === null;
  const title = isNew ? "New customer" : `Edit ${row.Name}`;
  const region = field({ name: "Region", label: "Region", kind: "choice", choices: isNew ? { "": "Choose one", ...regionNames } : regionNames });
  const business = [
    field({ name: "Name", label: "Name", wide: true, autofocus: isNew }),
    field({ name: "Kind", label: "Kind", kind: "choice", choices: customerKind }),
    region,
    field({ name: "Credit", label: "Credit limit in euro", kind: "decimal" }),
    field({ name: "Rating", label: "Pays", kind: "choice", optional: true, choices: { 5: "5, always in time", 4: "4", 3: "3", 2: "2", 1: "1, never in time" } }),
    field({ name: "Blocked", label: "Blocked for new orders", kind: "check" }),
  ];
  const contact = [
    field({ name: "Contact", label: "Contact", optional: true }),
    field({ name: "Email", label: "E-mail", kind: "email", optional: true }),
    field({ name: "Phone", label: "Phone", kind: "tel", optional: true, hint: "With the country’s code: +49 …" }),
    field({ name: "Street", label: "Street", optional: true }),
    field({ name: "PostalCode", label: "Postal code", optional: true }),
    field({ name: "City", label: "Town" }),
    field({ name: "Country", label: "Country", hint: "Two letters: DE, FR, GB …" }),
    field({ name: "DeliverFrom", label: "Delivery from", kind: "time", optional: true }),
    field({ name: "Notes", label: "Notes", kind: "long", optional: true, wide: true }),
  ];
  const simple = [...business, ...contact].filter((member) => member !== region);
  const read = (member) => (member.name === "Rating" && member.read() !== null ? Number(member.read()) : member.read());
  let etag = row?.["@odata.etag"];

  for (const member of simple) member.write(row ? row[member.name] : { Credit: 0, Kind: "Grocer" }[member.name]);
  if (row) region.write(row.Region.Code);

  function body() {
    const result = {};
    for (const member of simple) {
      const value = read(member);
      const before = row?.[member.name] ?? null;
      if (isNew ? value !== null : value !== (member.name === "DeliverFrom" && before ? before.slice(0, 8) : before)) result[member.name] = value;
    }
    if (region.read() && region.read() !== row?.Region.Code) result["Region@odata.bind"] = `Regions(${text(region.read())})`;
    return result;
  }

  async function save() {
    const saved = isNew ? await create("Customers", body()) : await update(`Customers(${row.id})`, body(), etag);
    notify(isNew ? `${saved.Name} is saved.` : "The changes are saved.");
    go(address(`customers/${saved?.id ?? row.id}`));
  }

  async function conflict(error, again) {
    const theirs = await get(`Customers(${row.id})`, { expand: detailExpand });
    const words = (value) => (value === null || value === undefined ? "" : value === true ? "yes" : value === false ? "no" : String(value));
    return conflictChoice({
      noun: "customer",
      rows: [
        ...simple.map((member) => [member.label, member.name === "DeliverFrom" ? words(time(theirs.DeliverFrom)) : words(theirs[member.name]), member.name === "DeliverFrom" ? words(time(read(member))) : words(read(member))]),
        ["Region", theirs.Region.Name, regionNames[region.read()]],
      ],
      onTheirs: () => {
        view.leave();
        go(address(`customers/${row.id}`));
      },
      onMine: () => {
        etag = theirs["@odata.etag"];
        again();
      },
    });
  }

  const view = form({
    groups: [{ title: "Business", fields: business }, { title: "Contact and delivery", fields: contact }],
    submitLabel: isNew ? "Save customer" : "Save changes",
    cancelTo: isNew ? address("customers") : address(`customers/${row.id}`),
    submit: save, conflict,
  });
  return {
    title, section: "customers", leave: view.leave, isChanged: view.isChanged,
    node: [
      element("p", { class: "trail" }, element("a", { href: address("customers") }, "Customers"), !isNew && [" / ", element("a", { href: address(`customers/${row.id}`) }, row.Name)]),
      element("div", { class: "head" }, element("h1", { tabindex: "-1" }, title)),
      view.node,
    ],
  };
}
