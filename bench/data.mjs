// The data of the benchmarks: made by the example's own generator, read for the peers.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cache, repository, settings } from "./settings.mjs";
import { run } from "./process.mjs";

/** Folder of CSV files at the scale of the settings. */
export function generate() {
  const scale = `${settings.customers}-${settings.products}-${settings.orders}`;
  const folder = join(cache, `data-${scale}`);
  if (!existsSync(join(folder, "complete"))) {
    mkdirSync(folder, { recursive: true });
    run("node", [
      join(repository, "examples/wholesale/generate.mjs"),
      "--customers", settings.customers, "--products", settings.products, "--orders", settings.orders,
      "--out", folder,
    ]);
    gather(join(folder, "Orders.csv"));
    writeFileSync(join(folder, "complete"), "");
  }
  return { folder, scale };
}

/**
 * The generator gives a customer ten orders or so, as is natural; W2 wants customers with fifty. One order in
 * eight goes to a few buyers who so have at least that many. (The customer is the last column.)
 */
function gather(file) {
  const [header, ...lines] = readFileSync(file, "utf8").trimEnd().split("\n");
  const buyers = Math.max(1, Math.floor(lines.length / 8 / 60));
  const customers = [...new Set(lines.map((line) => line.slice(line.lastIndexOf(",") + 1)))].slice(0, buyers);
  const gathered = lines.map((line, i) =>
    i % 8 === 0 ? line.slice(0, line.lastIndexOf(",") + 1) + customers[(i / 8) % customers.length] : line);
  writeFileSync(file, [header, ...gathered, ""].join("\n"));
}

/** Rows of a CSV file (RFC 4180) as objects. */
export function rows(folder, name) {
  const text = readFileSync(join(folder, `${name}.csv`), "utf8");
  const lines = [];
  let line = [];
  let at = 0;
  while (at < text.length) {
    let field;
    if (text[at] === '"') {
      field = "";
      for (at += 1; ; at += 1) {
        const end = text.indexOf('"', at);
        field += text.slice(at, end);
        at = end + 1;
        if (text[at] !== '"') break;
        field += '"';
      }
    } else {
      let end = at;
      while (end < text.length && text[end] !== "," && text[end] !== "\n" && text[end] !== "\r") end += 1;
      field = text.slice(at, end);
      at = end;
    }
    line.push(field);
    if (text[at] === ",") {
      at += 1;
      continue;
    }
    if (text[at] === "\r") at += 1;
    at += 1;
    lines.push(line);
    line = [];
  }
  const [header, ...rest] = lines;
  return rest.map((values) => Object.fromEntries(header.map((column, i) => [column, values[i] ?? ""])));
}

/** What the requests of the workloads vary: the same for every peer. */
export function keys(folder) {
  const orders = rows(folder, "Orders");
  const numberOfOrders = new Map();
  for (const { Customer } of orders) numberOfOrders.set(Customer, (numberOfOrders.get(Customer) ?? 0) + 1);
  const withFifty = [...numberOfOrders].filter(([, count]) => count >= 50).map(([customer]) => customer);
  const spread = (list, count) =>
    Array.from({ length: Math.min(count, list.length) }, (_, i) => list[Math.floor((i * list.length) / Math.min(count, list.length))]);
  const instants = orders.map((order) => order.PlacedAt).sort();
  return {
    orders: spread(orders.map((order) => order.id), 2000),
    buyers: spread(withFifty.sort(), 500),
    customers: spread([...numberOfOrders.keys()], 2000),
    // Twenty orders follow each of them.
    instants: spread(instants.slice(0, -100), 2000),
  };
}

/** A short number for a key, so that peers with keys of another form keep the same references. */
export function numbered(prefix, length) {
  const numbers = new Map();
  return (key) => {
    if (!numbers.has(key)) numbers.set(key, prefix + String(numbers.size + 1).padStart(length - prefix.length, "0"));
    return numbers.get(key);
  };
}
