// Stoa itself, on SQLite or PostgreSQL, with every workload.
import { cpSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { writeModel } from "../application.mjs";
import { cache, repository, settings } from "../settings.mjs";
import { Running, freePort, request, run } from "../process.mjs";

export function binary() {
  if (settings.binary) return settings.binary;
  const target = JSON.parse(run("cargo", ["metadata", "--no-deps", "--format-version", "1"], { cwd: repository })).target_directory;
  return join(target, "release", "stoa");
}

/** The example, open to everybody as its peers are, with the data of the benchmark and a static file of 10 KB. */
function application(data, staticFile) {
  const folder = join(cache, "application");
  rmSync(folder, { recursive: true, force: true });
  writeModel(folder, { rules: false });
  cpSync(join(repository, "examples/wholesale/web"), join(folder, "web"), { recursive: true });
  cpSync(staticFile, join(folder, "web", "ten.bin"));
  symlinkSync(data.folder, join(folder, "data"));
  return folder;
}

export function requests(keys) {
  const get = (path) => ({ method: "GET", path });
  return {
    W1: keys.orders.map((order) => get(`/odata/Orders(${order})`)),
    W2: keys.buyers.map((customer) =>
      get(`/odata/Orders?$filter=Customer/id%20eq%20${customer}&$orderby=PlacedAt%20desc&$top=50`)),
    W3: keys.instants.map((instant) =>
      get(`/odata/Orders?$filter=PlacedAt%20ge%20${instant}&$orderby=PlacedAt&$top=20&$expand=Customer,Lines`)),
    W4: keys.customers.map((customer, i) => ({
      method: "POST",
      path: "/odata/Orders",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        "Customer@odata.bind": `Customers(${customer})`,
        PlacedAt: "2026-11-01T09:30:00Z",
        RequiredOn: "2026-11-15",
        Status: "Placed",
        Reference: `B-${i}`,
        Total: 118.5,
        Remarks: "From the benchmark",
      }),
    })),
    W5: [get("/ten.bin")],
  };
}

export async function stoa({ data, keys, staticFile, postgres }) {
  const name = postgres ? "stoa-postgres" : "stoa-sqlite";
  const program = binary();
  const folder = join(cache, name, data.scale);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const app = application(data, staticFile);
  const database = postgres ? (await postgres.database(`stoa_${data.scale.replaceAll("-", "_")}`)).url : undefined;
  const port = await freePort();
  const args = ["run", app, "--listen", `127.0.0.1:${port}`, "--data", join(folder, "data"), "--admin", "off"];
  if (database) args.push("--database", database);
  const address = `http://127.0.0.1:${port}`;
  const first = `${address}/odata/Orders(${keys.orders[0]})`;
  const start = () => new Running(program, args, { log: join(folder, "log") });

  const version = run(program, ["--version"]).trim();
  // The first start loads the data.
  const loading = start();
  const loadMilliseconds = await loading.firstAnswer(first);
  await loading.stop();
  return {
    name,
    title: postgres ? "Stoa on PostgreSQL" : "Stoa on SQLite",
    version,
    note: `data loaded in ${(loadMilliseconds / 1000).toFixed(1)} s; every commit durable`,
    address,
    first,
    start,
    database: postgres,
    sizePaths: [program],
    databaseFile: join(folder, "data"),
    requests: requests(keys),
    async check() {
      const rows = async (path) => JSON.parse((await request(address + path)).body).value;
      const all = requests(keys);
      const fifty = await rows(all.W2[0].path);
      const twenty = await rows(all.W3[0].path);
      return { W2: fifty.length, W3: twenty.length, lines: twenty.reduce((sum, order) => sum + order.Lines.length, 0) };
    },
  };
}
