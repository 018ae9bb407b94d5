// One web server and one app server with many environments, and with many instances of one: what they cost.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { backEnd, sizes } from "./common.mjs";
import { startTwo } from "./sites.mjs";
import { figure, machine, table } from "../report.mjs";
import { repository, settings } from "../settings.mjs";
import { prepare, wrk } from "../load.mjs";
import { cpuSeconds, stopAll } from "../process.mjs";

const COUNTS = (process.env.BENCH_ENVIRONMENTS ?? "1,100,1000").split(",").map(Number);
const name = (number) => `environment-${number}.example`;

const megabytes = (pid) => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;

/** Asks every environment until all have answered; gives the time since the start of the servers. */
async function untilAllAnswer(url, count, started) {
  const { port } = new URL(url);
  const http = await import("node:http");
  const ask = (host) => new Promise((resolve) => {
    const request = http.get({ port, path: "/one.bin", headers: { host }, agent: false }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode === 200));
    });
    request.on("error", () => resolve(false));
  });
  const deadline = Date.now() + 300_000;
  for (let next = 0; next < count;) {
    if (await ask(name(next))) next += 1;
    else if (Date.now() > deadline) throw new Error(`${name(next)} does not answer`);
    else await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return (Date.now() - started) / 1000;
}

/** Loads a site with requests, and gives its rate and the CPU seconds for 1000 of them. */
async function loaded(site, name, requests) {
  const file = prepare(name, requests);
  await wrk(site.plain, file, settings.warmUpSeconds, 64);
  const cpu = () => site.processes.map(({ pid }) => cpuSeconds(pid));
  const before = cpu();
  const load = await wrk(site.plain, file, settings.seconds, 64);
  if (load.errors > 0) throw new Error(`${load.errors} errors in ${name}`);
  return { rate: load.rate, cpu: cpu().map((seconds, i) => ((seconds - before[i]) / load.requests) * 1000) };
}

/** One environment with so many instances: each address of an application is one. */
async function measureInstances(count, backs) {
  const addresses = backs.slice(0, count).map(({ port }) => `"http://127.0.0.1:${port}"`).join(", ");
  const site = await startTwo(`instances-${count}`, `[environment.e0]\nhosts = ["${name(0)}"]\nupstream = [${addresses}]`);
  await untilAllAnswer(site.plain, 1, Date.now());
  // No cookie: each request is for whoever has least to do.
  const result = await loaded(site, `instances-${count}`, [{ method: "GET", path: "/one.bin", headers: { Host: name(0) } }]);
  for (const process of site.processes) await process.stop();
  return { count, ...result };
}

async function measure(count, back) {
  const environments = Array.from({ length: count }, (_, number) => `
[environment.e${number}]
hosts = ["${name(number)}"]
upstream = ["http://127.0.0.1:${back.port}"]`).join("\n");
  const started = Date.now();
  const site = await startTwo(`many-site-${count}`, environments);
  const seconds = await untilAllAnswer(site.plain, count, started);
  const [web, app] = site.processes;
  const idle = [web, app].map(({ pid }) => cpuSeconds(pid));
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const idleCpu = [web, app].map(({ pid }, i) => (cpuSeconds(pid) - idle[i]) / 5);
  const requests = Array.from({ length: Math.min(count, 1000) }, (_, number) => ({
    method: "GET", path: "/one.bin", headers: { Host: name(number) },
  }));
  const result = await loaded(site, `many-${count}`, requests);
  const row = { count, seconds, memory: [web, app].map(({ pid }) => megabytes(pid)), idleCpu, ...result };
  for (const process of site.processes) await process.stop();
  return row;
}

try {
  const back = await backEnd();
  const rows = [];
  for (const count of COUNTS) {
    rows.push(await measure(count, back));
    process.stderr.write(`${JSON.stringify(rows.at(-1))}\n`);
  }
  const instances = [];
  const backs = [back];
  for (const count of [1, 2, 4]) {
    while (backs.length < count) backs.push(await backEnd(`back-end-${backs.length}`));
    instances.push(await measureInstances(count, backs));
    process.stderr.write(`${JSON.stringify(instances.at(-1))}\n`);
  }
  const pair = (values, digits, factor = 1) => values.map((value) => figure(value * factor, digits)).join(" + ");
  const date = new Date().toISOString().slice(0, 10);
  const text = [
    `# Many environments, ${date}\n`,
    `${machine()}. A web server and an app server with so many environments, each with links of its own; each asks the same back end (${sizes.one} bytes). Web + app server.`,
    "",
    table(
      ["environments", "all answer after, s", "memory, MB", "idle, % of a core", "requests/s, over all of them", "CPU s / 1,000"],
      rows.map((row) => [figure(row.count, 0), figure(row.seconds, 1), pair(row.memory, 0), pair(row.idleCpu, 1, 100), figure(row.rate, 0), pair(row.cpu, 4)]),
    ), "",
    "## One environment with several instances\n",
    "Each address of the application is an instance, with links of its own; no cookies.\n",
    table(["instances", "requests/s", "CPU s / 1,000"], instances.map((row) => [figure(row.count, 0), figure(row.rate, 0), pair(row.cpu, 4)])), "",
  ].join("\n");
  const results = join(repository, "bench", "results");
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, `${date}-environments.md`), text);
  process.stdout.write(text);
} finally {
  await stopAll();
}
