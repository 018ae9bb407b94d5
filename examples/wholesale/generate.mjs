#!/usr/bin/env node
// Writes the sample data: the same bytes for the same options, on every machine.
//
//   node generate.mjs --out data                         # as committed: 10,000 orders
//   node generate.mjs --scale 10 --out /some/folder      # 100,000 orders, 10,000 customers
//   node generate.mjs --customers 10000 --products 1000 --orders 100000 --out /some/folder
//
// Orders are written day by day as they are made, so memory stays flat whatever the number of orders.

import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as words from "./words.mjs";

const FIRST_DAY = Date.UTC(2023, 10, 1);
const LAST_DAY = Date.UTC(2026, 9, 31);
const DAY = 86_400_000;
// Of older orders the shipment is no longer kept.
const FIRST_SHIPMENT = Date.UTC(2025, 10, 1);

const options = readOptions();
mkdirSync(options.out, { recursive: true });

// ---------------------------------------------------------------- chance and keys

/** sfc32 with a seed from a name, so that each file has a stream of its own and can change alone. */
function chance(name) {
  let hash = 2166136261;
  for (const character of `${options.seed}/${name}`) {
    hash = Math.imul(hash ^ character.codePointAt(0), 16777619);
  }
  let [a, b, c, d] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, hash >>> 0];
  const next = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 4294967296;
  };
  for (let i = 0; i < 15; i += 1) next();
  const below = (n) => Math.floor(next() * n);
  return {
    next,
    below,
    between: (low, high) => low + below(high - low + 1),
    pick: (list) => list[below(list.length)],
    is: (probability) => next() < probability,
    weighted(list, weight) {
      let rest = next() * list.reduce((sum, item) => sum + weight(item), 0);
      return list.find((item) => (rest -= weight(item)) < 0) ?? list.at(-1);
    },
    /** A UUIDv7 of this instant (milliseconds). */
    key(instant) {
      const time = instant.toString(16).padStart(12, "0");
      const hex = (n, digits) => n.toString(16).padStart(digits, "0");
      return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(below(0x1000), 3)}-${hex(0x8000 | below(0x4000), 4)}-${hex(below(0x1000000), 6)}${hex(below(0x1000000), 6)}`;
    },
  };
}

// ---------------------------------------------------------------- files

class Table {
  constructor(name, columns) {
    this.file = openSync(join(options.out, `${name}.csv`), "w");
    this.columns = columns;
    this.buffer = `${columns.join(",")}\n`;
    this.bytes = 0;
    this.rows = 0;
    this.name = name;
    Table.all.push(this);
  }

  add(row) {
    let line = "";
    for (let i = 0; i < this.columns.length; i += 1) {
      const value = row[this.columns[i]];
      if (i > 0) line += ",";
      if (value === null || value === undefined) continue;
      const text = String(value);
      line += /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    }
    this.buffer += `${line}\n`;
    this.rows += 1;
    if (this.buffer.length > 1 << 20) this.flush();
  }

  flush() {
    const bytes = Buffer.from(this.buffer);
    let at = 0;
    while (at < bytes.length) at += writeSync(this.file, bytes, at);
    this.bytes += bytes.length;
    this.buffer = "";
  }

  close() {
    this.flush();
    closeSync(this.file);
  }
}
Table.all = [];

const date = (instant) => new Date(instant).toISOString().slice(0, 10);
const dateTime = (instant) => `${new Date(instant).toISOString().slice(0, 19)}Z`;
const money = (cents) => (cents / 100).toFixed(2);
const ascii = (text) => text.normalize("NFD").replace(/[^a-zA-Z0-9]+/g, "").toLowerCase();

// ---------------------------------------------------------------- regions, categories, suppliers

function writeRegions() {
  const table = new Table("Regions", ["Code", "Name", "TimeZone"]);
  for (const region of words.regions) {
    table.add({ Code: region.code, Name: region.name, TimeZone: region.zone });
  }
  table.close();
}

function writeCategories() {
  const table = new Table("Categories", ["Code", "Name", "Description", "Icon", "Parent"]);
  const icon = (code) => {
    const hue = [...code].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 7);
    return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4" fill="hsl(${hue} 45% 45%)"/></svg>`).toString("base64");
  };
  const row = (category, parent) => table.add({ Code: category.code, Name: category.name, Description: category.description, Icon: icon(category.code), Parent: parent });
  for (const category of words.categories) row(category);
  for (const category of words.categories) {
    for (const child of category.children) row(child, category.code);
  }
  table.close();
}

function writeSuppliers() {
  const random = chance("suppliers");
  const table = new Table("Suppliers", ["id", "Name", "Contact", "Email", "Phone", "City", "Country", "LeadTime", "Organic"]);
  const suppliers = [];
  for (let i = 0; i < options.suppliers; i += 1) {
    const region = random.pick(words.regions);
    const [city, country] = random.pick(region.cities);
    const round = Math.floor(i / words.supplierNames.length);
    const name = `${words.supplierNames[i % words.supplierNames.length]} ${random.pick(words.supplierTrades)}${round ? ` ${round + 1}` : ""}`;
    const id = random.key(Date.UTC(2019, 0, 2) + i * DAY);
    suppliers.push(id);
    table.add({
      id, Name: name, City: city, Country: country,
      Contact: `${random.pick(region.first)} ${random.pick(region.last)}`,
      Email: `orders@${ascii(name)}.example`,
      Phone: phone(country, random),
      LeadTime: random.pick(["P1D", "P2D", "P3D", "P5D", "P7D", "P10D", "P14D", "PT36H"]),
      Organic: random.is(0.4),
    });
  }
  table.close();
  return suppliers;
}

function phone(country, random) {
  return `+${words.callingCodes[country]} ${random.between(10, 99)} ${random.between(100, 999)} ${random.between(1000, 9999)}`;
}

// ---------------------------------------------------------------- employees

function writeEmployees() {
  const random = chance("employees");
  const table = new Table("Employees", ["@type", "id", "Name", "FullName", "FirstName", "LastName", "Title", "Department", "Email", "Phone", "BornOn", "HiredOn", "StartsAt", "WeeklyHours", "Badge", "Languages", "Active", "ReportsTo", "Budget", "ManagedRegion", "Commission", "YearlyGoal", "Region"]);
  const people = new Set();
  const languages = ["en", "de", "fr", "es", "it", "nl", "sv", "pl"];

  const hire = (type, title, department, boss, more = {}) => {
    let first;
    let last;
    do {
      first = random.pick(words.firstNamesOfStaff);
      last = random.pick(words.surnamesOfStaff);
    } while (people.has(`${first} ${last}`));
    people.add(`${first} ${last}`);
    const hired = Date.UTC(random.between(2008, 2023), random.below(12), random.between(1, 28));
    const id = random.key(hired);
    table.add({
      "@type": type, id, Name: `${ascii(first)}.${ascii(last)}`, FullName: `${first} ${last}`, FirstName: first, LastName: last, Title: title, Department: department,
      Email: `${first}.${last}@wholesale.example`.toLowerCase(),
      Phone: `+49 421 555 ${random.between(1000, 9999)}`,
      BornOn: date(Date.UTC(random.between(1963, 1999), random.below(12), random.between(1, 28))),
      HiredOn: date(hired),
      StartsAt: department === "Warehouse" ? "06:00:00" : random.pick(["08:00:00", "08:30:00", "09:00:00"]),
      WeeklyHours: random.pick(["PT40H", "PT40H", "PT37H30M", "PT32H", "PT20H"]),
      Badge: random.key(hired + 3_600_000),
      Languages: JSON.stringify([...new Set(["en", random.pick(languages), random.pick(languages)])]),
      Active: true, ReportsTo: boss, ...more,
    });
    return id;
  };

  const head = hire("Manager", "Managing director", "Board", null, { Budget: "2500000.00" });
  const heads = {
    Sales: hire("Manager", "Head of sales", "Sales", head, { Budget: "900000.00" }),
    Purchasing: hire("Manager", "Head of purchasing", "Purchasing", head, { Budget: "6000000.00" }),
    Warehouse: hire("Manager", "Head of shipping", "Warehouse", head, { Budget: "700000.00" }),
    Finance: hire("Manager", "Head of finance", "Finance", head, { Budget: "150000.00" }),
  };
  const sellers = new Map();
  for (const region of words.regions) {
    const lead = hire("Manager", `Sales manager, ${region.name}`, "Sales", heads.Sales, { Budget: "80000.00", ManagedRegion: region.code });
    const number = region.share > 12 ? 3 : 2;
    sellers.set(region.code, Array.from({ length: number }, () => hire("SalesEmployee", "Account manager", "Sales", lead, {
      Commission: (random.between(10, 40) / 1000).toFixed(3),
      YearlyGoal: money(random.between(20, 60) * 1_000_000),
      Region: region.code,
    })));
  }
  const buyers = 6;
  for (let i = 0; i < buyers; i += 1) hire("Employee", "Buyer", "Purchasing", heads.Purchasing);
  for (let i = 0; i < 4; i += 1) hire("Employee", "Bookkeeper", "Finance", heads.Finance);
  const shippers = [];
  while (table.rows < options.employees) shippers.push(hire("Employee", random.pick(["Packer", "Driver", "Warehouse clerk"]), "Warehouse", heads.Warehouse));
  table.close();
  return { sellers, shippers };
}

// ---------------------------------------------------------------- products

function writeProducts(suppliers) {
  const random = chance("products");
  const table = new Table("Products", ["Sku", "Name", "Unit", "Price", "Cost", "Weight", "Barcode", "Stock", "ReorderAt", "IntroducedOn", "Discontinued", "Specification", "Category"]);
  const links = new Table("Product.Suppliers", ["Product", "Suppliers"]);
  const kinds = words.categories.flatMap((category) => category.children);
  const products = [];
  for (let i = 0; i < options.products; i += 1) {
    const kind = kinds[i % kinds.length];
    const nth = Math.floor(i / kinds.length);
    const thing = nth % kind.things.length;
    const pack = Math.floor(nth / kind.things.length) % kind.packs.length;
    const sort = (thing + Math.floor(nth / (kind.things.length * kind.packs.length)) + pack) % kind.sorts.length;
    const series = Math.floor(nth / (kind.things.length * kind.packs.length * kind.sorts.length));
    const [size, weight, factor] = kind.packs[pack];
    const cents = Math.max(5, Math.round((random.between(kind.price[0], kind.price[1]) * factor) / 5) * 5);
    const sku = `${kind.code}-${String(nth + 1).padStart(4, "0")}`;
    const introduced = random.is(0.7) ? Date.UTC(random.between(2015, 2022), random.below(12), 1) : FIRST_DAY + random.below(900) * DAY;
    products.push({ sku, cents, weight, introduced, weightOfChoice: 0.1 + random.next() ** 3 });
    table.add({
      Sku: sku,
      Name: `${kind.things[thing]}, ${kind.sorts[sort]}, ${size}${series ? `, series ${series + 1}` : ""}`,
      Unit: kind.unit, Price: money(cents), Cost: ((cents * random.between(55, 78)) / 10000).toFixed(4),
      Weight: weight.toFixed(3), Barcode: barcode(i),
      Stock: random.is(0.06) ? 0 : random.between(4, 900), ReorderAt: random.pick([10, 20, 20, 50]),
      IntroducedOn: date(introduced), Discontinued: random.is(0.04), Category: kind.code,
      Specification: JSON.stringify({ origin: random.pick(random.pick(words.regions).cities)[1], storage: kind.code === "CHE" || kind.code === "DAI" ? "chilled" : "dry" }),
    });
    const chosen = new Set(Array.from({ length: random.between(1, 3) }, () => random.pick(suppliers)));
    for (const supplier of chosen) links.add({ Product: sku, Suppliers: supplier });
  }
  table.close();
  links.close();
  return products;
}

/** EAN-13 in the range 200–299, which is meant for use inside a company. */
function barcode(number) {
  const digits = `2${String(number * 7 + 100_000_000).padStart(11, "0")}`;
  const sum = [...digits].reduce((total, digit, index) => total + Number(digit) * (index % 2 ? 3 : 1), 0);
  return digits + ((10 - (sum % 10)) % 10);
}

// ---------------------------------------------------------------- customers

function writeCustomers(sellers) {
  const random = chance("customers");
  const table = new Table("Customers", ["id", "Name", "Kind", "Contact", "Email", "Phone", "Street", "PostalCode", "City", "Country", "Since", "Credit", "Rating", "DeliverFrom", "Blocked", "Notes", "Region", "CaredBy"]);
  const names = new Map();
  const customers = [];
  for (let i = 0; i < options.customers; i += 1) {
    const region = random.weighted(words.regions, (item) => item.share);
    const [kind, , trades] = random.weighted(words.kinds, (item) => item[1]);
    const [city, country, postal] = random.pick(region.cities);
    const last = random.pick(region.last);
    let name = random.weighted([
      [`${random.pick(words.houseNames)} ${random.pick(trades)}`, 5],
      [`${last} ${random.pick(region.forms)}`, 2],
      [`${last}’s ${random.pick(trades)}`, 2],
      [`${random.pick(trades)} ${city}`, 1],
    ], (item) => item[1])[0];
    const plain = ascii(name);
    const times = (names.get(plain) ?? 0) + 1;
    names.set(plain, times);
    if (times > 1) name = `${name}, ${city}${times > 2 ? ` ${times}` : ""}`;
    // The first 55 % were customers before the first day; the others came in over the three years.
    const part = i / options.customers;
    const since = part < 0.55
      ? Date.UTC(2012, 0, 1) + Math.floor((part / 0.55) * ((FIRST_DAY - Date.UTC(2012, 0, 1)) / DAY)) * DAY
      : FIRST_DAY + Math.floor(((part - 0.55) / 0.45) * ((LAST_DAY - FIRST_DAY) / DAY - 20)) * DAY;
    const id = random.key(since);
    const activity = Math.min(1, 0.08 + random.next() ** 2.2);
    customers.push({ id, since, activity, region: region.code });
    table.add({
      id, Name: name, Kind: kind, Contact: `${random.pick(region.first)} ${last}`,
      Email: random.is(0.95) ? `hello@${plain}${times > 1 ? times : ""}.example` : null,
      Phone: phone(country, random),
      Street: `${random.pick(region.streets)} ${random.between(1, 180)}`,
      PostalCode: postal.replaceAll("#", () => random.below(10)), City: city, Country: country,
      Since: date(since), Credit: money(random.pick([0, 0, 100_000, 250_000, 500_000, 1_000_000, 2_500_000])),
      Rating: random.is(0.9) ? random.weighted([[5, 5], [4, 6], [3, 3], [2, 1], [1, 0.4]], (item) => item[1])[0] : null,
      DeliverFrom: random.is(0.5) ? random.pick(["06:00:00", "07:00:00", "07:30:00", "09:00:00", "10:00:00"]) : null,
      Blocked: random.is(0.015), Notes: random.is(0.12) ? random.pick(words.notes) : null,
      Region: region.code, CaredBy: random.pick(sellers.get(region.code)),
    });
  }
  table.close();
  return customers;
}

// ---------------------------------------------------------------- orders, lines, shipments

/** How much is sold on a day: growth, season of the year, day of the week. */
function demand(day) {
  const when = new Date(day);
  const season = [0.82, 0.8, 0.92, 0.97, 1.02, 1.06, 0.94, 0.86, 1.0, 1.08, 1.22, 1.34][when.getUTCMonth()];
  const week = [0.12, 1.25, 1.15, 1.1, 1.05, 1.0, 0.35][when.getUTCDay()];
  const years = (day - FIRST_DAY) / (365.25 * DAY);
  return 1.17 ** years * season * week;
}

function status(age, random) {
  if (random.is(0.025)) return "Cancelled";
  if (age < 1.5) return random.is(0.35) ? "Draft" : "Placed";
  if (age < 4) return random.is(0.1) ? "Draft" : random.is(0.55) ? "Placed" : "Shipped";
  if (age < 9) return random.is(0.3) ? "Shipped" : "Delivered";
  return "Delivered";
}

function writeOrders(customers, products, shippers) {
  const random = chance("orders");
  const orders = new Table("Orders", ["id", "PlacedAt", "RequiredOn", "Status", "Reference", "Total", "Remarks", "Customer"]);
  // Lines and shipments have no keys of their own here: nothing refers to them, so they get them when loaded.
  const lines = new Table("OrderLine", ["Order", "Position", "Quantity", "UnitPrice", "Discount", "Product"]);
  const shipments = new Table("Shipments", ["Carrier", "TrackingNumber", "ShippedAt", "DeliveredAt", "Weight", "Parcels", "Order", "HandledBy"]);
  const numbers = { OwnVan: "OV", Express: "EX", Freight: "FR", Rail: "RA" };
  const end = LAST_DAY + DAY;
  let whole = 0;
  for (let day = FIRST_DAY; day <= LAST_DAY; day += DAY) whole += demand(day);

  let known = 0;
  let passed = 0;
  let made = 0;
  for (let day = FIRST_DAY; day <= LAST_DAY; day += DAY) {
    passed += demand(day);
    const upTo = day === LAST_DAY ? options.orders : Math.round((passed / whole) * options.orders);
    while (known < customers.length && customers[known].since <= day) known += 1;
    if (known === 0) continue;
    const instants = Array.from({ length: upTo - made }, () => day + 6 * 3_600_000 + Math.floor((random.next() + random.next()) * 6 * 3600) * 1000).sort((a, b) => a - b);
    made = upTo;
    for (const placed of instants) {
      const customer = chooseCustomer(customers, known, random);
      const id = random.key(placed);
      const age = (end - placed) / DAY;
      const state = status(age, random);
      const chosen = new Set();
      const number = Math.min(products.length, 1 + Math.floor(-Math.log(1 - random.next()) * 2.5));
      let cents = 0;
      let kilos = 0;
      for (let tries = 0; chosen.size < Math.min(number, 12) && tries < 100; tries += 1) {
        const product = chooseProduct(products, random);
        if (chosen.has(product) || product.introduced > placed) continue;
        chosen.add(product);
        const quantity = Math.max(1, Math.round(2 * Math.exp(random.next() * 2.6)));
        const discount = quantity >= 24 ? random.pick([5, 10, 15]) : quantity >= 12 && random.is(0.6) ? 5 : 0;
        const price = priceThen(product.cents, placed);
        cents += Math.round((quantity * price * (100 - discount)) / 100);
        kilos += quantity * product.weight;
        lines.add({ Order: id, Position: chosen.size, Quantity: quantity, UnitPrice: money(price), Discount: discount ? `0.${String(discount).padStart(2, "0")}` : "0", Product: product.sku });
      }
      orders.add({
        id, PlacedAt: dateTime(placed), RequiredOn: date(day + random.between(2, 12) * DAY), Status: state,
        Reference: random.is(0.18) ? `PO-${random.between(1000, 99999)}` : null,
        Total: money(cents), Remarks: random.is(0.03) ? random.pick(words.remarks) : null, Customer: customer.id,
      });
      if ((state === "Shipped" || state === "Delivered") && placed >= FIRST_SHIPMENT) {
        const shipped = placed + Math.floor(Math.min(0.45, 0.15 + random.next()) * Math.min(age, 4) * 24 * 60) * 60_000;
        const carrier = kilos > 400 ? random.pick(["Freight", "Rail"]) : random.pick(["OwnVan", "OwnVan", "Express"]);
        const delivered = Math.min(end - 3_600_000, shipped + random.between(5, 70) * 3_600_000);
        shipments.add({
          Carrier: carrier, TrackingNumber: `${numbers[carrier]}${String(shipments.rows * 13 + 1_000_000)}`,
          ShippedAt: dateTime(shipped), DeliveredAt: state === "Delivered" ? dateTime(delivered) : null,
          Weight: kilos.toFixed(3).replace(/0+$/, "").replace(/\.$/, ""), Parcels: Math.min(500, 1 + Math.floor(kilos / 25)),
          Order: id, HandledBy: random.pick(shippers),
        });
      }
    }
  }
  for (const table of [orders, lines, shipments]) table.close();
}

function chooseCustomer(customers, known, random) {
  for (;;) {
    const customer = customers[random.below(known)];
    if (random.is(customer.activity)) return customer;
  }
}

function chooseProduct(products, random) {
  for (;;) {
    const product = products[random.below(products.length)];
    if (random.is(product.weightOfChoice)) return product;
  }
}

/** Prices rose by some 2 % in each half year before the list price of today. */
function priceThen(cents, instant) {
  const halfYears = Math.floor((LAST_DAY - instant) / (182.6 * DAY));
  return Math.max(1, Math.round((cents * 0.98 ** halfYears) / 5) * 5 || cents);
}

// ---------------------------------------------------------------- command line

function readOptions() {
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: "data" },
      scale: { type: "string", default: "1" },
      seed: { type: "string", default: "wholesale" },
      customers: { type: "string" },
      products: { type: "string" },
      orders: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log("node generate.mjs [--out FOLDER] [--scale N] [--customers N] [--products N] [--orders N] [--seed TEXT]");
    process.exit(0);
  }
  const number = (name, otherwise) => {
    const text = values[name] ?? String(otherwise);
    const value = Number(text);
    if (!(value > 0 && value <= 1e9)) {
      console.error(`--${name} must be a number above 0, not "${text}"`);
      process.exit(64);
    }
    return value;
  };
  const scale = number("scale", 1);
  return {
    out: values.out,
    seed: values.seed,
    customers: Math.ceil(number("customers", 1000 * scale)),
    products: Math.ceil(number("products", scale === 1 ? 300 : Math.round(300 * scale ** 0.523))),
    orders: Math.ceil(number("orders", 10_000 * scale)),
    suppliers: 30,
    employees: 60,
  };
}

writeRegions();
writeCategories();
const suppliers = writeSuppliers();
const { sellers, shippers } = writeEmployees();
const products = writeProducts(suppliers);
const customers = writeCustomers(sellers);
writeOrders(customers, products, shippers);
for (const table of Table.all) console.log(`${table.name.padEnd(18)} ${String(table.rows).padStart(9)} rows ${String(table.bytes).padStart(12)} bytes`);
