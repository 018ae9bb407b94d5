// The benchmarks: every peer and workload in turn, interleaved, on one machine. See README.md.
import { cpSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cache, settings, titles } from "./settings.mjs";
import { generate, keys as readKeys } from "./data.mjs";
import { prepare as prepareLoad, wrk } from "./load.mjs";
import { Postgres } from "./postgres.mjs";
import { cpuSeconds, request, residentMegabytes, stopAll } from "./process.mjs";
import { write } from "./report.mjs";
import { cap } from "./peers/cap.mjs";
import { nginx } from "./peers/nginx.mjs";
import { pgbench } from "./peers/pgbench.mjs";
import { pocketbase } from "./peers/pocketbase.mjs";
import { sqlite } from "./peers/sqlite.mjs";
import { stoa } from "./peers/stoa.mjs";

const wanted = (name) => settings.peers.includes(name);
const say = (text) => process.stderr.write(`${text}\n`);
const median = (list) => {
  const sorted = list.filter((value) => Number.isFinite(value)).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

let postgres;
try {
  await main();
} finally {
  await stopAll();
  if (postgres) rmSync(postgres.folder, { recursive: true, force: true });
}

async function main() {
  mkdirSync(cache, { recursive: true });
  say("data …");
  const data = generate();
  const keys = readKeys(data.folder);
  const staticFile = join(cache, "ten.bin");
  // Letters, no run of zeros; 10 KB.
  writeFileSync(staticFile, Buffer.from(Array.from({ length: 10_240 }, (_, i) => 97 + ((i * 7919) % 26))));

  const peers = await preparePeers({ data, keys, staticFile });
  const results = new Map(peers.map((peer) => [peer.name, { workloads: {} }]));
  for (const peer of peers) await startAndCheck(peer, results.get(peer.name));
  await measure(peers, results);
  for (const peer of peers) {
    if (peer.running) results.get(peer.name).residentAfter = residentMegabytes(peer.running.pid);
  }
  const files = write(peers, results);
  say(files.join("\n"));
}

async function preparePeers(input) {
  const makers = {
    "stoa-sqlite": async () => stoa(input),
    "stoa-postgres": async () => stoa({ ...input, postgres }),
    pocketbase: () => pocketbase(input),
    cap: () => cap(input),
    nginx: () => nginx(input),
    "nginx-tuned": () => nginx({ ...input, keepsFilesOpen: true }),
  };
  // The limits run on copies of Stoa's databases.
  const needed = new Set(settings.peers);
  if (wanted("pgbench")) needed.add("stoa-postgres");
  if (wanted("sqlite")) needed.add("stoa-sqlite");
  if (needed.has("stoa-postgres")) postgres = await Postgres.start();

  const peers = [];
  for (const [name, make] of Object.entries(makers)) {
    if (!needed.has(name)) continue;
    say(`preparing ${name} …`);
    const peer = await make();
    if (name === "stoa-sqlite" && wanted("sqlite")) {
      const copy = join(cache, "sqlite");
      rmSync(copy, { recursive: true, force: true });
      cpSync(peer.databaseFile, copy, { recursive: true });
      const limit = await sqlite({ keys: input.keys, databaseFolder: copy });
      if (wanted(name)) peers.push(peer);
      peers.push(limit);
      continue;
    }
    if (name === "stoa-postgres") {
      const database = postgres.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'stoa_%'").trim();
      postgres.sql(database, "VACUUM ANALYZE");
      if (wanted("pgbench")) {
        postgres.sql("postgres", `CREATE DATABASE limit_of_the_database TEMPLATE ${database}`);
        postgres.sql("limit_of_the_database", "VACUUM ANALYZE");
        const limit = await pgbench({ keys: input.keys, postgres, database: "limit_of_the_database" });
        if (wanted(name)) peers.push(peer);
        peers.push(limit);
        continue;
      }
    }
    peers.push(peer);
  }
  return peers;
}

/** Starts a server several times for its start time; leaves it running; one request of each kind must succeed. */
async function startAndCheck(peer, result) {
  if (!peer.start) return;
  say(`starting ${peer.name} …`);
  const times = [];
  for (let i = 0; i < settings.starts; i += 1) {
    if (peer.running) await peer.running.stop();
    peer.running = peer.start();
    times.push(await peer.running.firstAnswer(peer.first));
  }
  result.startMilliseconds = median(times);
  // A second of quiet, for what a server does in the background after its first answer.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  result.residentIdle = residentMegabytes(peer.running.pid);
  result.megabytes = peer.sizePaths.reduce((sum, path) => sum + size(path), 0) / 1e6;
  for (const [workload, list] of Object.entries(peer.requests)) {
    if (!settings.workloads.includes(workload)) continue;
    const answer = await request(peer.address + list[0].path, list[0]);
    const expected = workload === "W4" ? [200, 201] : [200];
    if (!expected.includes(answer.status)) {
      throw new Error(`${peer.name}, ${workload}: ${list[0].path} gave ${answer.status}: ${answer.body.slice(0, 500)}`);
    }
    peer.answerBytes = { ...peer.answerBytes, [workload]: answer.body.length };
  }
  if (peer.check) {
    const found = await peer.check();
    if (found.W2 !== 50 || found.W3 !== 20 || found.lines === 0) {
      throw new Error(`${peer.name} answers with other rows than it should: ${JSON.stringify(found)}`);
    }
  }
}

function size(path) {
  const status = statSync(path);
  if (!status.isDirectory()) return status.size;
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => !entry.isSymbolicLink())
    .reduce((sum, entry) => sum + size(join(path, entry.name)), 0);
}

async function measure(peers, results) {
  const runs = [];
  for (let round = 0; round < settings.rounds; round += 1) {
    for (const workload of settings.workloads) {
      const able = peers.filter((peer) => (peer.requests ? workload in peer.requests : peer.workloads.includes(workload)));
      // Another one begins in every round.
      const turn = able.map((_, i) => able[(i + round) % able.length]);
      for (const peer of turn) runs.push({ round, workload, peer });
    }
  }
  const started = performance.now();
  for (const [i, { round, workload, peer }] of runs.entries()) {
    const elapsed = (performance.now() - started) / 1000;
    const left = i === 0 ? runs.length * (settings.seconds + settings.warmUpSeconds) : (elapsed / i) * (runs.length - i);
    const one = await measureOne(peer, workload);
    (results.get(peer.name).workloads[workload] ??= []).push(one);
    say(`[${i + 1}/${runs.length}, ${Math.round(left)} s left] round ${round + 1}, ${workload} ${titles[workload]}, ${peer.name}: ` +
      `${Math.round(one.rate)}/s${one.p50 === undefined ? "" : `, p50 ${one.p50.toFixed(2)} ms, p99 ${one.p99.toFixed(2)} ms`}${one.errors ? `, ${one.errors} ERRORS` : ""}`);
  }
  for (const result of results.values()) {
    for (const [workload, list] of Object.entries(result.workloads)) {
      result.workloads[workload] = {
        ...Object.fromEntries(["rate", "p50", "p99", "serverCpu", "databaseCpu"].map((name) => [name, median(list.map((one) => one[name]))])),
        errors: list.reduce((sum, one) => sum + one.errors, 0),
        rates: list.map((one) => one.rate),
      };
    }
  }
}

async function measureOne(peer, workload) {
  const load = peer.measure
    ? (seconds) => peer.measure(workload, seconds)
    : ((file) => (seconds) => wrk(peer.address, file, seconds))(prepareLoad(`${peer.name}-${workload}`, peer.requests[workload]));
  await load(settings.warmUpSeconds);
  const server = () => (peer.running ? cpuSeconds(peer.running.pid) : 0);
  const database = () => (peer.database ? cpuSeconds(peer.database.pid) : 0);
  const before = [server(), database()];
  const one = await load(settings.seconds);
  const per1000 = (seconds) => (seconds / one.requests) * 1000;
  return {
    ...one,
    serverCpu: peer.running ? per1000(server() - before[0]) : undefined,
    databaseCpu: peer.database ? per1000(database() - before[1]) : undefined,
  };
}
