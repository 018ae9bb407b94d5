// Stoa's web server between clients and an application, against nginx, HAProxy and Caddy. See README.md.
import http from "node:http";
import https from "node:https";
import { readFileSync } from "node:fs";
import { settings } from "./settings.mjs";
import { prepare, wrk } from "./load.mjs";
import { cpuSeconds, stopAll } from "./process.mjs";
import { backEnd, shared, sizes } from "./web/common.mjs";
import { handshakes } from "./web/handshakes.mjs";
import { idleKilobytes } from "./web/idle.mjs";
import { peers } from "./web/peers.mjs";
import { write } from "./web/results.mjs";
import { foreign, foreignHere, optionOne, optionThree } from "./web/sites.mjs";

const CONNECTIONS = Number(process.env.BENCH_CONNECTIONS ?? 64);
const IDLE = Number(process.env.BENCH_IDLE ?? 2000);
const say = (text) => process.stderr.write(`${text}\n`);
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stopAll().finally(() => process.exit(1)));
try {
  await main();
} finally {
  await stopAll();
}

async function main() {
  const files = shared();
  const back = await backEnd();
  const [others, stoa, here, one, three] = [
    await peers(files, back), await foreign(files, back), await foreignHere(back), await optionOne(), await optionThree(),
  ];
  const all = [stoa, ...others];
  const cases = casesOf(all, here, await order(one), one, three);
  for (const { runners } of cases) for (const runner of runners) await verify(runner);
  // First, while nothing that a load has left can be used again.
  const idle = [];
  for (const peer of all) {
    const kilobytes = {};
    for (const kind of ["plain", "secure"]) {
      const [server] = kind === "secure" ? (peer.secureProcesses ?? peer.processes) : peer.processes;
      kilobytes[kind] = await idleKilobytes(`${peer[kind]}${peer.hasStatic ? "/static/ten.bin" : "/one.bin"}`, [server.pid], IDLE);
    }
    say(`idle connection, ${peer.title}: ${kilobytes.plain.toFixed(1)} KB, TLS ${kilobytes.secure.toFixed(1)} KB`);
    idle.push({ title: peer.title, ...kilobytes });
  }
  for (let round = 0; round < settings.rounds; round += 1) {
    for (const { name, runners } of cases) {
      // Another one first in each round: what runs beside them meets all.
      const first = round % runners.length;
      for (const runner of [...runners.slice(first), ...runners.slice(0, first)]) {
        const result = await measure(runner);
        if (result.errors > 0) throw new Error(`${name}, ${runner.title}: ${result.errors} errors`);
        runner.results.push(result);
        say(`round ${round + 1}, ${name}, ${runner.title}: ${Math.round(result.rate)}/s, CPU ${result.cpu.map((cpu) => cpu.toFixed(4)).join(" + ")}`);
      }
    }
  }
  const lost = await lostLines([...stoa.metrics, ...here.metrics, ...one.metrics, ...three.metrics]);
  const file = write({
    cases: cases.map(({ name, title, runners }) => ({ name, title, rows: runners.map(summary) })),
    idle: { connections: IDLE, rows: idle }, lost, connections: CONNECTIONS, versions: all.map((peer) => peer.version),
  });
  process.stdout.write(readFileSync(file, "utf8"));
  say(file);
}

/** Path of one order of the example. */
async function order(site) {
  await site.processes[0].firstAnswer(`${site.plain}/odata/Orders?$top=1`);
  const { body } = await get(`${site.plain}/odata/Orders?$top=1`);
  return `/odata/Orders(${JSON.parse(body).value[0].id})`;
}

function casesOf(all, here, orderPath, one, three) {
  const [stoa] = all;
  const runner = (peer, path, bytes, { kind = "plain", connections = CONNECTIONS, title = peer.title, load } = {}) => ({
    id: peer.name, title, url: peer[kind], path, bytes, connections, load, results: [],
    processes: kind === "secure" ? (peer.secureProcesses ?? peer.processes) : peer.processes,
  });
  const servesFiles = all.filter((peer) => peer.hasStatic);
  const local = [runner(one, "/one.bin", sizes.one)];
  const tiers = (path, bytes, connections) => [one, three].map((site) => runner(site, path, bytes, { connections }));
  return [
    { name: "proxied-1k", title: "Proxied, 1 KB", runners: [all[0], here, ...all.slice(1)].map((peer) => runner(peer, "/one.bin", sizes.one)) },
    { name: "proxied-1m", title: "Proxied, 1 MB", runners: [all[0], here, ...all.slice(1)].map((peer) => runner(peer, "/million.bin", sizes.million)) },
    { name: "static-10k", title: "Static, 10 KB", runners: servesFiles.map((peer) => runner(peer, "/static/ten.bin", sizes.ten)) },
    { name: "static-1m", title: "Static, 1 MB", runners: servesFiles.map((peer) => runner(peer, "/static/million.bin", sizes.million)) },
    { name: "tls-10k", title: "TLS 1.3 kept alive, static 10 KB", runners: servesFiles.map((peer) => runner(peer, "/static/ten.bin", sizes.ten, { kind: "secure" })) },
    {
      name: "handshakes", title: "Full TLS 1.3 handshakes (P-256)",
      runners: all.map((peer) => runner(peer, peer === stoa || peer.hasStatic ? "/static/ten.bin" : "/one.bin", peer.hasStatic ? sizes.ten : sizes.one, { kind: "secure", load: handshakes })),
    },
    { name: "in-process", title: "Option 1, in process: 1 KB of the application, and an order by key", runners: [...local, runner(one, orderPath, undefined, { title: "Stoa, option 1, order" })] },
    { name: "tiers-1", title: "An order by key, 1 connection", runners: tiers(orderPath, undefined, 1) },
    { name: "tiers-16", title: "An order by key, 16 connections", runners: tiers(orderPath, undefined, 16) },
  ];
}

/** The right answer, and the cookies that a client comes back with. */
async function verify(runner) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const answer = await get(runner.url + runner.path).catch((error) => ({ error }));
    if (answer.status === 200 && (runner.bytes === undefined || answer.body.length === runner.bytes)) {
      runner.cookie = answer.cookies.map((cookie) => cookie.split(";")[0]).join("; ");
      const headers = runner.cookie ? { Cookie: runner.cookie } : {};
      runner.file = prepare(`web-${runner.id}-${runner.path.replace(/\W+/g, "-")}`, [{ method: "GET", path: runner.path, headers }]);
      return;
    }
    // An app server may still be on its way to its web server.
    if (Date.now() > deadline) throw new Error(`${runner.title}: ${runner.url}${runner.path} gave ${answer.error ?? `${answer.status}, ${answer.body.length} bytes: ${answer.body.toString().slice(0, 300)}`}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** CPU seconds for 1000 requests, of each process. */
async function measure(runner) {
  const load = runner.load ?? ((url, seconds) => wrk(url, runner.file, seconds, runner.connections));
  await load(runner.url, settings.warmUpSeconds);
  const cpu = () => runner.processes.map(({ pid }) => cpuSeconds(pid));
  const before = cpu();
  const result = await load(runner.url, settings.seconds);
  result.cpu = cpu().map((seconds, i) => ((seconds - before[i]) / result.requests) * 1000);
  return result;
}

function summary({ id, title, results }) {
  const of = (field) => median(results.map((result) => result[field]));
  const all = (result) => result.cpu.reduce((sum, cpu) => sum + cpu, 0);
  return {
    id, title, rate: of("rate"), p50: of("p50"), p99: of("p99"),
    cpu: median(results.map((result) => result.cpu[0])), allCpu: median(results.map(all)),
    hasMore: results[0].cpu.length > 1,
  };
}

/** Lines of the access log that Stoa could not write: they would be work not done. */
async function lostLines(ports) {
  let lost = 0;
  for (const port of ports) {
    const { body } = await get(`http://127.0.0.1:${port}/metrics`);
    const match = /^stoa_access_log_lines_dropped(?:_total)?(?:\{[^}]*\})? (\d+)/m.exec(body.toString());
    if (!match) throw new Error(`no count of lost lines at port ${port}`);
    lost += Number(match[1]);
  }
  return lost;
}

function get(url) {
  return new Promise((resolve, reject) => {
    const { get: ask } = url.startsWith("https") ? https : http;
    ask(url, { agent: false, rejectUnauthorized: false }, (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode, cookies: response.headers["set-cookie"] ?? [], body: Buffer.concat(pieces) }));
    }).on("error", reject);
  });
}
