// SAP CAP (Node.js, OData V4, SQLite). For the benchmark only.
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { cache } from "../settings.mjs";
import { Running, freePort, request, run } from "../process.mjs";
import { rows } from "../data.mjs";

const project = join(cache, "cap");
const packages = { "@sap/cds": "^9", "@cap-js/sqlite": "^2", express: "^4" };

function install() {
  if (existsSync(join(project, "node_modules", "@sap", "cds")) && existsSync(join(project, "node_modules", "better-sqlite3"))) return;
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "bench", private: true, dependencies: packages }));
  run("npm", ["install", "--no-audit", "--no-fund"], { cwd: project });
}

/** The SQLite driver that CAP brings; it fills PocketBase's database too. */
export function betterSqlite() {
  install();
  return createRequire(join(project, "package.json"))("better-sqlite3");
}

const model = `
namespace bench;
entity Customers {
  key id : UUID; Number : Integer64; Name : String(120) not null; Kind : String(20) not null; Contact : String(80);
  Email : String(200); Phone : String(30); Street : String(120); PostalCode : String(12); City : String(80) not null;
  Country : String(2) not null; Since : Date; Credit : Decimal(12, 2); Rating : Integer; DeliverFrom : Time;
  Blocked : Boolean not null default false; Notes : String(2000); Region : String(8);
  createdAt : Timestamp; changedAt : Timestamp; Orders : Association to many Orders on Orders.Customer = $self;
}
entity Orders {
  key id : UUID; Number : Integer64; PlacedAt : Timestamp not null; RequiredOn : Date;
  Status : String(20) not null default 'Draft'; Reference : String(40); Total : Decimal(12, 2) not null default 0;
  Remarks : String(1000); createdAt : Timestamp @cds.on.insert : $now; changedAt : Timestamp @cds.on.insert : $now;
  Customer : Association to Customers not null; Lines : Composition of many OrderLines on Lines.Order = $self;
}
entity OrderLines {
  key id : UUID; Position : Integer not null; Quantity : Integer not null; UnitPrice : Decimal(10, 2) not null;
  Discount : Decimal(4, 3) not null; Product : String(10) not null; createdAt : Timestamp; changedAt : Timestamp;
  Order : Association to Orders not null;
}
`;
const service = `
using bench from '../db/schema';
service BenchService @(path: '/odata/v4/bench') {
  @cds.query.limit: 1000
  entity Orders as projection on bench.Orders;
  entity Customers as projection on bench.Customers;
  entity OrderLines as projection on bench.OrderLines;
}
`;
const indexes = `
CREATE INDEX ix_orders_customer ON bench_Orders (Customer_id, PlacedAt);
CREATE INDEX ix_orders_placed ON bench_Orders (PlacedAt);
CREATE INDEX ix_lines_order ON bench_OrderLines (Order_id);
`;

const instant = (iso) => (iso ? iso.replace(/(\.\d+)?Z$/, ".000Z") : null);
const orNull = (value) => (value === "" ? null : value);

function fill(file, data) {
  const Database = betterSqlite();
  const database = new Database(file);
  database.exec(indexes);
  const now = "2026-11-01T00:00:00.000Z";
  const insert = (table, columns, list) => {
    const statement = database.prepare(`INSERT INTO ${table} (${columns.join(",")}) VALUES (${columns.map(() => "?").join(",")})`);
    database.transaction(() => list.forEach((row) => statement.run(row)))();
  };
  insert("bench_Customers",
    ["id", "Number", "Name", "Kind", "Contact", "Email", "Phone", "Street", "PostalCode", "City", "Country", "Since", "Credit", "Rating", "DeliverFrom", "Blocked", "Notes", "Region", "createdAt", "changedAt"],
    rows(data.folder, "Customers").map((c, i) => [c.id, i + 1, c.Name, c.Kind, ...[c.Contact, c.Email, c.Phone, c.Street, c.PostalCode].map(orNull), c.City, c.Country, c.Since, Number(c.Credit), c.Rating ? Number(c.Rating) : null, orNull(c.DeliverFrom), c.Blocked === "true" ? 1 : 0, orNull(c.Notes), c.Region, now, now]));
  insert("bench_Orders",
    ["id", "Number", "PlacedAt", "RequiredOn", "Status", "Reference", "Total", "Remarks", "createdAt", "changedAt", "Customer_id"],
    rows(data.folder, "Orders").map((o, i) => [o.id, i + 1, instant(o.PlacedAt), orNull(o.RequiredOn), o.Status, orNull(o.Reference), Number(o.Total), orNull(o.Remarks), now, now, o.Customer]));
  insert("bench_OrderLines",
    ["id", "Position", "Quantity", "UnitPrice", "Discount", "Product", "createdAt", "changedAt", "Order_id"],
    rows(data.folder, "OrderLine").map((l, i) => [`00000000-0000-4000-8000-${String(i).padStart(12, "0")}`, Number(l.Position), Number(l.Quantity), Number(l.UnitPrice), Number(l.Discount), l.Product, now, now, l.Order]));
  database.close();
}

export async function cap({ data, keys }) {
  install();
  const file = join(project, `${data.scale}.sqlite`);
  mkdirSync(join(project, "db"), { recursive: true });
  mkdirSync(join(project, "srv"), { recursive: true });
  writeFileSync(join(project, "db", "schema.cds"), model);
  writeFileSync(join(project, "srv", "service.cds"), service);
  writeFileSync(join(project, "package.json"), JSON.stringify({
    name: "bench", private: true, dependencies: packages,
    cds: { requires: { db: { kind: "sqlite", impl: "@cap-js/sqlite", credentials: { url: file } }, auth: { kind: "dummy" } } },
  }, null, 2));
  if (!existsSync(`${file}.complete`) || !existsSync(`${file}.pristine`)) {
    for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(file + suffix, { force: true });
    const sql = run("node", ["-e", `
      const cds = require("@sap/cds");
      cds.load("*").then((model) => console.log(cds.compile(model).to.sql({ dialect: "sqlite" }).join(";\\n") + ";"));
    `], { cwd: project });
    const Database = betterSqlite();
    const database = new Database(file);
    database.exec(sql);
    database.close();
    fill(file, data);
    cpSync(file, `${file}.pristine`);
    writeFileSync(`${file}.complete`, "");
  }
  // Every run begins with the same rows.
  for (const suffix of ["-wal", "-shm", "-journal"]) rmSync(file + suffix, { force: true });
  cpSync(`${file}.pristine`, file);
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const start = () =>
    new Running("node", ["node_modules/@sap/cds/bin/serve.js"], {
      cwd: project, log: join(project, "log"), env: { ...process.env, PORT: String(port), NODE_ENV: "production" },
    });
  const get = (path) => ({ method: "GET", path });
  const orders = "/odata/v4/bench/Orders";
  const requests = {
    W1: keys.orders.map((order) => get(`${orders}(${order})`)),
    W2: keys.buyers.map((customer) => get(`${orders}?$filter=Customer_id%20eq%20${customer}&$orderby=PlacedAt%20desc&$top=50`)),
    W3: keys.instants.map((from) => get(`${orders}?$filter=PlacedAt%20ge%20${from}&$orderby=PlacedAt&$top=20&$expand=Customer,Lines`)),
    W4: keys.customers.map((customer, i) => ({
      method: "POST",
      path: orders,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        Customer_id: customer, PlacedAt: "2026-11-01T09:30:00Z", RequiredOn: "2026-11-15", Status: "Placed",
        Reference: `B-${i}`, Total: 118.5, Remarks: "From the benchmark",
      }),
    })),
  };
  return {
    name: "cap",
    title: "SAP CAP",
    version: `@sap/cds ${createRequire(join(project, "package.json"))("@sap/cds/package.json").version}, Node ${process.version}`,
    note: "SQLite, the framework's own settings; one process",
    address,
    first: address + requests.W1[0].path,
    start,
    sizePaths: [join(project, "node_modules"), process.execPath],
    requests,
    async check() {
      const list = async (path) => JSON.parse((await request(address + path)).body).value;
      const fifty = await list(requests.W2[0].path);
      const twenty = await list(requests.W3[0].path);
      return { W2: fifty.length, W3: twenty.length, lines: twenty.reduce((sum, order) => sum + order.Lines.length, 0) };
    },
  };
}
