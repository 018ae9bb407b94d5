// What access rules cost: the workloads of Stoa as a signed-in user whose roles have conditions on rows, against the
// same rows asked for by anybody in an application without rules to judge. See README.md.
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cache, repository, settings, titles } from "./settings.mjs";
import { writeModel } from "./application.mjs";
import { generate, rows } from "./data.mjs";
import { prepare, wrk } from "./load.mjs";
import { Postgres } from "./postgres.mjs";
import { Running, cpuSeconds, freePort, request, run, stopAll } from "./process.mjs";
import { binary } from "./peers/stoa.mjs";

const WORKLOADS = ["W1", "W2", "W3", "W4"];
const GOAL = 1.15;
const USER = { name: "bench", password: "correct horse battery staple" };
const say = (text) => process.stderr.write(`${text}\n`);
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

let postgres;
try {
  await main();
} finally {
  await stopAll();
  if (postgres) rmSync(postgres.folder, { recursive: true, force: true });
}

async function main() {
  mkdirSync(cache, { recursive: true });
  const data = generate();
  const keys = keysOfOneRegion(data.folder);
  postgres = await Postgres.start();
  const peers = [];
  for (const database of ["sqlite", "postgres"]) {
    for (const rules of [false, true]) peers.push(await peer({ database, rules, data, keys }));
  }
  const runs = new Map(peers.map((one) => [one.name, Object.fromEntries(WORKLOADS.map((workload) => [workload, []]))]));
  for (let round = 0; round < settings.rounds; round += 1) {
    for (const workload of WORKLOADS) {
      // Each goes first as often as the other: what runs beside them meets both.
      for (const one of round % 2 ? [...peers].reverse() : peers) {
        const file = prepare(`${one.name}-${workload}`, one.requests[workload]);
        await wrk(one.address, file, settings.warmUpSeconds);
        const cpu = () => [one.server.pid, postgres.pid].map(cpuSeconds);
        const before = cpu();
        const result = await wrk(one.address, file, settings.seconds);
        const [server, database] = cpu().map((seconds, i) => ((seconds - before[i]) / result.requests) * 1000);
        result.server = server;
        result.all = one.name.startsWith("postgres") ? server + database : server;
        if (result.errors > 0) throw new Error(`${one.name}, ${workload}: ${result.errors} errors`);
        runs.get(one.name)[workload].push(result);
        say(`round ${round + 1}, ${workload} ${titles[workload]}, ${one.name}: ${Math.round(result.rate)}/s`);
      }
    }
  }
  report(runs, keys.region);
}

/** The region with most orders, and what of it the requests vary. */
function keysOfOneRegion(folder) {
  const regionOf = new Map(rows(folder, "Customers").map((customer) => [customer.id, customer.Region]));
  const all = rows(folder, "Orders");
  const count = (list) => list.reduce((counts, key) => counts.set(key, (counts.get(key) ?? 0) + 1), new Map());
  const byRegion = count(all.map((order) => regionOf.get(order.Customer)));
  const region = [...byRegion].sort((a, b) => b[1] - a[1])[0][0];
  const orders = all.filter((order) => regionOf.get(order.Customer) === region);
  const byCustomer = count(orders.map((order) => order.Customer));
  const spread = (list, most) =>
    Array.from({ length: Math.min(most, list.length) }, (_, i) => list[Math.floor((i * list.length) / Math.min(most, list.length))]);
  return {
    region,
    orders: spread(orders.map((order) => order.id), 2000),
    buyers: spread([...byCustomer].filter(([, number]) => number >= 50).map(([customer]) => customer), 500),
    customers: spread([...byCustomer.keys()], 2000),
    instants: spread(orders.map((order) => order.PlacedAt).sort().slice(0, -100), 2000),
  };
}

async function peer({ database, rules, data, keys }) {
  const name = `${database}-${rules ? "rules" : "open"}`;
  say(`preparing ${name} …`);
  const program = binary();
  const app = join(cache, `application-${rules ? "rules" : "open"}`);
  rmSync(app, { recursive: true, force: true });
  writeModel(app, { rules });
  symlinkSync(data.folder, join(app, "data"));
  const folder = join(cache, `rules-${name}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const place = ["--data", join(folder, "data")];
  if (database === "postgres") place.push("--database", (await postgres.database(`rules_${rules ? "rules" : "open"}`)).url);
  const server = new Running(program, ["run", app, ...place, "--listen", `127.0.0.1:${port}`, "--admin", "off"], { log: join(folder, "log") });
  await server.firstAnswer(`${address}/health/ready`);
  let headers = {};
  if (rules) {
    run(program, ["user", "add", app, USER.name, ...place, "--kind", "SalesEmployee", "--role", "Sales", "--password-stdin",
      "--set", "FirstName=B", "--set", "LastName=B", "--set", "Department=Sales", "--set", "HiredOn=2020-01-01",
      "--email", "bench@wholesale.example", "--set", `Region=${keys.region}`], { input: `${USER.password}\n` });
    headers = { Cookie: await signIn(address), Origin: address, "Sec-Fetch-Site": "same-origin" };
  }
  if (database === "postgres") postgres.sql(`rules_${rules ? "rules" : "open"}`, "VACUUM ANALYZE");
  const requests = requestsOf(keys, rules, headers);
  for (const workload of WORKLOADS) {
    const one = requests[workload][0];
    const answer = await request(address + one.path, one);
    const rowsFound = () => JSON.parse(answer.body).value.length;
    const isRight = { W1: () => answer.status === 200, W2: () => rowsFound() === 50, W3: () => rowsFound() === 20, W4: () => answer.status === 201 };
    if (![200, 201].includes(answer.status) || !isRight[workload]()) {
      throw new Error(`${name}, ${workload}: ${one.path} gave ${answer.status}: ${answer.body.slice(0, 500)}`);
    }
  }
  return { name, address, server, requests };
}

/** Signs in as a browser does, and gives the cookies. */
async function signIn(address) {
  const page = await fetch(`${address}/-/sign-in`);
  const cookies = page.headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
  const fields = [...(await page.text()).matchAll(/<input[^>]*type="hidden"[^>]*>/g)].map(([input]) => [
    /name="([^"]*)"/.exec(input)[1], /value="([^"]*)"/.exec(input)?.[1] ?? "",
  ]);
  const form = new URLSearchParams([...fields, ["name", USER.name], ["password", USER.password]]);
  const answer = await fetch(`${address}/-/sign-in`, {
    method: "POST",
    redirect: "manual",
    headers: { Cookie: cookies.join("; "), Origin: address, "Sec-Fetch-Site": "same-origin" },
    body: form,
  });
  if (answer.status !== 303) throw new Error(`signing in gave ${answer.status}: ${(await answer.text()).slice(0, 500)}`);
  return answer.headers.getSetCookie().map((cookie) => cookie.split(";")[0]).join("; ");
}

function requestsOf(keys, rules, headers) {
  const get = (path) => ({ method: "GET", path, headers });
  // The same rows: what the rule keeps away from the user, the others do not ask for.
  const also = rules ? "" : `%20and%20Customer/Region/Code%20eq%20'${keys.region}'`;
  return {
    W1: keys.orders.map((order) => get(`/odata/Orders(${order})`)),
    W2: keys.buyers.map((customer) => get(`/odata/Orders?$filter=Customer/id%20eq%20${customer}&$orderby=PlacedAt%20desc&$top=50`)),
    W3: keys.instants.map((instant) =>
      get(`/odata/Orders?$filter=PlacedAt%20ge%20${instant}${also}&$orderby=PlacedAt&$top=20&$expand=Customer,Lines`)),
    W4: keys.customers.map((customer, i) => ({
      method: "POST",
      path: "/odata/Orders",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify({
        "Customer@odata.bind": `Customers(${customer})`,
        RequiredOn: "2026-11-15", Status: "Placed", Reference: `B-${i}`, Total: 118.5, Remarks: "From the benchmark",
      }),
    })),
  };
}

function report(runs, region) {
  const lines = [
    `# What access rules cost`, "",
    `The example with its rules (four roles, conditions on rows) as a signed-in user of Sales in region ${region}, against the same`,
    `application in which anybody may do anything. Both read the same rows: W3 of the latter has the region in its \`$filter\`.`,
    `wrk with ${settings.connections} connections, ${settings.seconds} s, medians of ${settings.rounds} interleaved rounds; goal: at most ${GOAL} times.`,
    `CPU: seconds of user and system for 1,000 requests; “all” has PostgreSQL's processes too.`, "",
    "| | without rules, req/s | with rules, req/s | times | server's CPU | times | all CPU | times |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
  ];
  for (const database of ["sqlite", "postgres"]) {
    for (const workload of WORKLOADS) {
      const of = (kind, field) => median(runs.get(`${database}-${kind}`)[workload].map((one) => one[field]));
      const times = of("open", "rate") / of("rules", "rate");
      const cpu = (field) => {
        const [open, rules] = ["open", "rules"].map((kind) => of(kind, field));
        return `${open.toFixed(4)} → ${rules.toFixed(4)} | ${(rules / open).toFixed(2)}`;
      };
      lines.push(
        `| ${workload} ${titles[workload]}, ${database} | ${Math.round(of("open", "rate"))} | ${Math.round(of("rules", "rate"))} ` +
        `| ${times.toFixed(2)} | ${cpu("server")} | ${cpu("all")} |`);
    }
  }
  const text = `${lines.join("\n")}\n`;
  const file = join(repository, "bench", "results", `${new Date().toISOString().slice(0, 10)}-rules.md`);
  writeFileSync(file, text);
  process.stdout.write(`${text}\n`);
  say(file);
}
