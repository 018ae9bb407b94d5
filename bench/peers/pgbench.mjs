// The limit on PostgreSQL: pgbench sends the SQL of each workload, with nobody between it and the database.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { cache, settings } from "../settings.mjs";
import { programs } from "../postgres.mjs";

// pgbench takes at most 128 scripts; it cannot read keys from a file, so each script has one key in it.
const SCRIPTS = 100;

const order = "o.id, o._version, o.number, o.placed_at, o.required_on, o.status, o.reference, o.total, o.remarks, o._created_at, o._changed_at";
const customer = "c.id, c._version, c.number, c.name, c.kind, c.contact, c.email, c.phone, c.street, c.postal_code, c.city, c.country, c.since, c.credit, c.rating, c.deliver_from, c.blocked, c.notes, c._created_at, c._changed_at";

const statements = {
  W1: (keys, i) => `SELECT ${order} FROM "order" o WHERE o.id = '${keys.orders[i % keys.orders.length]}';`,
  W2: (keys, i) => `SELECT ${order} FROM "order" o WHERE o.customer_id = '${keys.buyers[i % keys.buyers.length]}' ORDER BY o.placed_at DESC, o.id LIMIT 50;`,
  // The second statement finds the same orders again, where a server would send their keys.
  W3: (keys, i, orders) => `SELECT ${order}, ${customer} FROM "order" o LEFT JOIN customer c ON c.id = o.customer_id WHERE o.placed_at >= '${keys.instants[i % keys.instants.length]}' ORDER BY o.placed_at, o.id LIMIT 20;
SELECT l.* FROM order_line l WHERE l.order_id = ANY('{${orders[i].join(",")}}'::uuid[]) ORDER BY l.order_id, l.id;`,
  W4: (keys, i) => `INSERT INTO "order" (id, _version, _created_at, _changed_at, placed_at, required_on, status, reference, total, remarks, customer_id) VALUES (gen_random_uuid(), 1, now(), now(), '2026-11-01T09:30:00Z', '2026-11-15', 'Placed', 'B-${i}', 118.5, 'From the benchmark', '${keys.customers[i % keys.customers.length]}') RETURNING number;`,
};

export async function pgbench({ keys, postgres, database }) {
  const folder = join(cache, "pgbench");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const orders = Array.from({ length: SCRIPTS }, (_, i) =>
    postgres.sql(database, `SELECT id FROM "order" WHERE placed_at >= '${keys.instants[i % keys.instants.length]}' ORDER BY placed_at, id LIMIT 20`).trim().split("\n"));
  const scripts = {};
  for (const [workload, statement] of Object.entries(statements)) {
    scripts[workload] = Array.from({ length: SCRIPTS }, (_, i) => {
      const file = join(folder, `${workload}-${i}.sql`);
      writeFileSync(file, `${statement(keys, i, orders)}\n`);
      return file;
    });
  }
  return {
    name: "pgbench",
    title: "pgbench (limit)",
    version: `PostgreSQL ${postgres.version}`,
    note: "the same SQL, prepared, over TCP; no HTTP, no JSON",
    database: postgres,
    limit: true,
    workloads: Object.keys(statements),
    async measure(workload, seconds) {
      const child = spawn(join(programs(), "pgbench"), [
        "-h", "127.0.0.1", "-p", String(postgres.port), "-U", "postgres", "-n", "-M", "prepared",
        "-c", String(settings.connections), "-j", "2", "-T", String(seconds),
        ...scripts[workload].flatMap((file) => ["-f", file]), database,
      ], { stdio: ["ignore", "pipe", "pipe"], cwd: folder });
      let output = "";
      child.stdout.on("data", (piece) => (output += piece));
      child.stderr.on("data", (piece) => (output += piece));
      await new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
      const requests = Number(/transactions actually processed: (\d+)/.exec(output)?.[1]);
      const rate = Number(/tps = ([\d.]+) \(without/.exec(output)?.[1]);
      const failed = Number(/failed transactions: (\d+)/.exec(output)?.[1] ?? 0);
      if (!(rate > 0)) throw new Error(`pgbench failed:\n${output}`);
      // Its latencies are not comparable: a thread with many clients looks at the clock once for all of them.
      return { requests, rate, seconds: requests / rate, errors: failed };
    },
  };
}
