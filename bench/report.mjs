// Results as a table (Markdown), a plot (SVG) and raw numbers (JSON).
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { repository, settings, titles } from "./settings.mjs";

export const figure = (value, digits) => (value === undefined ? "–" : value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
export const small = (value) => (value === undefined ? "–" : value < 10 ? figure(value, 2) : figure(value, value < 100 ? 1 : 0));

/** Writes the three files and gives their paths. */
export function write(peers, results) {
  const folder = join(repository, "bench", "results");
  mkdirSync(folder, { recursive: true });
  const date = new Date().toISOString().slice(0, 10);
  const name = process.env.BENCH_RESULT ?? date;
  const raw = {
    date, machine: machine(), settings: { ...settings, binary: undefined },
    peers: Object.fromEntries(peers.map((peer) => [peer.name, { title: peer.title, version: peer.version, answerBytes: peer.answerBytes, ...results.get(peer.name) }])),
  };
  const files = ["md", "svg", "json"].map((ending) => join(folder, `${name}.${ending}`));
  writeFileSync(files[0], markdown(peers, results, date, name));
  writeFileSync(files[1], plot(peers, results));
  writeFileSync(files[2], `${JSON.stringify(raw, null, 1)}\n`);
  return files;
}

export function machine() {
  const disk = spawnSync("df", ["--output=fstype", repository], { encoding: "utf8" }).stdout.trim().split("\n").pop();
  const system = /PRETTY_NAME="(.*)"/.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  return `${cpus().length} × ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB memory, ${disk}, ${system}, Linux ${release()}`;
}

export function table(header, lines) {
  return [`| ${header.join(" | ")} |`, `|${header.map((_, i) => (i === 0 ? "---" : "--:")).join("|")}|`, ...lines.map((line) => `| ${line.join(" | ")} |`)].join("\n");
}

function goals(results) {
  const rate = (peer, workload) => results.get(peer)?.workloads[workload]?.rate;
  const lines = [];
  const ratio = (what, a, b, goal) => {
    if (a === undefined || b === undefined) return;
    lines.push([what, `${figure(a / b, 2)} ×`, `${goal} ×`, a / b >= goal ? "yes" : "**no**"]);
  };
  for (const [workload, goal] of [["W1", 5], ["W2", 5], ["W3", 5], ["W4", 4]]) {
    ratio(`${workload}: Stoa on SQLite to PocketBase`, rate("stoa-sqlite", workload), rate("pocketbase", workload), goal);
  }
  for (const [workload, goal] of [["W1", 0.4], ["W2", 0.6], ["W3", 0.6], ["W4", 0.6]]) {
    ratio(`${workload}: Stoa on PostgreSQL to pgbench`, rate("stoa-postgres", workload), rate("pgbench", workload), goal);
  }
  ratio("W5: Stoa to nginx", rate("stoa-sqlite", "W5"), rate("nginx", "W5"), 1.25);
  ratio("W5: Stoa to nginx, tuned", rate("stoa-sqlite", "W5"), rate("nginx-tuned", "W5"), 1.25);
  const own = results.get("stoa-sqlite");
  if (own) {
    lines.push(["start to first answer, with the data", `${figure(own.startMilliseconds, 0)} ms`, "< 100 ms", own.startMilliseconds < 100 ? "yes" : "**no**"]);
    lines.push(["resident memory, idle", `${figure(own.residentIdle, 1)} MB`, "< 40 MB", own.residentIdle < 40 ? "yes" : "**no**"]);
  }
  return lines;
}

function markdown(peers, results, date, name) {
  const workloads = settings.workloads;
  const cells = (render) => peers.map((peer) => [peer.title, ...workloads.map((workload) => {
    const result = results.get(peer.name).workloads[workload];
    return result ? render(result) : "–";
  })]);
  const header = ["", ...workloads];
  const errors = peers.flatMap((peer) => workloads.flatMap((workload) => {
    const count = results.get(peer.name).workloads[workload]?.errors;
    return count ? [`${peer.title}, ${workload}: ${count} failed requests`] : [];
  }));
  const reached = goals(results);
  return `# Benchmarks, ${date}

${machine()}. Servers, databases and load generator share the machine.
${figure(settings.customers, 0)} customers, ${figure(settings.products, 0)} products, ${figure(settings.orders, 0)} orders with some three lines each.
\`wrk -t2 -c${settings.connections}\`, ${settings.seconds} s each after ${settings.warmUpSeconds} s of warming up; medians of ${settings.rounds} interleaved rounds. How it is done: [bench/README.md](../README.md).

${workloads.map((workload) => `- **${workload}** ${titles[workload]}`).join("\n")}

![Requests per second](${name}.svg)

## Requests per second

${table(header, cells((result) => figure(result.rate, 0)))}
${errors.length ? `\n**Failed:** ${errors.join("; ")}.\n` : "\nNo request failed.\n"}
## Latency, p50 / p99, milliseconds

${table(header, cells((result) => (result.p50 === undefined ? "–" : `${small(result.p50)} / ${small(result.p99)}`)))}

## CPU seconds per 1000 requests, server + database

${table(header, cells((result) => result.serverCpu === undefined && result.databaseCpu === undefined ? "–" : [result.serverCpu, result.databaseCpu].filter((value) => value !== undefined).map((value) => figure(value, 3)).join(" + ")))}

## Footprint

${table(["", "start to first answer, ms", "resident idle, MB", "resident after load, MB", "program, MB"], peers.filter((peer) => peer.start).map((peer) => {
    const result = results.get(peer.name);
    return [peer.title, figure(result.startMilliseconds, 0), figure(result.residentIdle, 1), figure(result.residentAfter, 1), figure(result.megabytes, 1)];
  }))}

Resident memory is that of the server's processes alone (shared pages counted once), not of PostgreSQL.
${reached.length ? `\n## Goals\n\n${table(["", "measured", "goal", "reached"], reached)}\n` : ""}
## What was measured

${peers.map((peer) => `- **${peer.title}**: ${peer.version}${peer.note ? `; ${peer.note}` : ""}`).join("\n")}
`;
}

const colours = { "stoa-sqlite": "#0b6e5f", "stoa-postgres": "#2b9d8a", pgbench: "#c9c9c9", sqlite: "#c9c9c9" };

/** One panel for each workload, a bar for each peer. */
function plot(peers, results) {
  const width = 860;
  const left = 150;
  const bar = 20;
  const parts = [];
  let y = 16;
  for (const workload of settings.workloads) {
    const able = peers.filter((peer) => results.get(peer.name).workloads[workload]);
    if (able.length === 0) continue;
    const most = Math.max(...able.map((peer) => results.get(peer.name).workloads[workload].rate));
    parts.push(`<text x="0" y="${y + 12}" class="title">${workload}: ${titles[workload]}</text>`);
    y += 24;
    for (const peer of able) {
      const { rate } = results.get(peer.name).workloads[workload];
      const length = Math.max(1, ((width - left - 90) * rate) / most);
      parts.push(`<text x="${left - 8}" y="${y + 14}" text-anchor="end">${peer.title}</text>`);
      parts.push(`<rect x="${left}" y="${y + 2}" width="${length.toFixed(1)}" height="${bar - 4}" rx="2" fill="${colours[peer.name] ?? "#8893a8"}"/>`);
      parts.push(`<text x="${(left + length + 6).toFixed(1)}" y="${y + 14}">${figure(rate, 0)}/s</text>`);
      y += bar;
    }
    y += 18;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 ${width + 24} ${y}" width="${width + 24}" height="${y}" role="img" aria-label="Requests per second by workload and server">
<style>text { font: 12px system-ui, sans-serif; fill: #222; } .title { font-weight: 600; font-size: 13px; } .back { fill: #fff; }</style>
<rect x="-12" y="0" width="${width + 24}" height="${y}" class="back"/>
${parts.join("\n")}
</svg>
`;
}
