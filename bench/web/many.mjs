// One web server and one app server with many environments: what they cost.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { backEnd, folderOf, sizes } from "./common.mjs";
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

async function measure(count, back) {
  const folder = folderOf(`many-${count}`);
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
  const file = prepare(`many-${count}`, requests);
  await wrk(site.plain, file, settings.warmUpSeconds, 64);
  const before = [web, app].map(({ pid }) => cpuSeconds(pid));
  const load = await wrk(site.plain, file, settings.seconds, 64);
  if (load.errors > 0) throw new Error(`${load.errors} errors with ${count} environments`);
  const cpu = [web, app].map(({ pid }, i) => ((cpuSeconds(pid) - before[i]) / load.requests) * 1000);
  const row = { count, seconds, memory: [web, app].map(({ pid }) => megabytes(pid)), idleCpu, rate: load.rate, cpu };
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
  ].join("\n");
  const results = join(repository, "bench", "results");
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, `${date}-environments.md`), text);
  process.stdout.write(text);
} finally {
  await stopAll();
}
