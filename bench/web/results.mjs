// The results of the web benchmark as Markdown, with the goals.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { figure, machine, small, table } from "../report.mjs";
import { repository, settings } from "../settings.mjs";

const cpu = (value) => figure(value, value < 0.1 ? 4 : 3);

function goals(cases) {
  const row = (name, id) => cases.find((one) => one.name === name).rows.find((one) => one.id === id);
  const lines = [];
  const add = (what, measured, goal, isMost) => lines.push([
    what, `${figure(measured, 2)} ×`, `${isMost ? "at most" : "at least"} ${figure(goal, 2)} ×`, (isMost ? measured <= goal : measured >= goal) ? "yes" : "**no**",
  ]);
  const hops = [["stoa", "web server, over a link with TLS"], ["stoa-here", "one process, as many hops as the other"]];
  for (const id of ["nginx", "haproxy"]) {
    const other = row("proxied-1k", id);
    for (const [own, how] of hops) {
      add(`proxied 1 KB: CPU to ${other.title} (${how})`, row("proxied-1k", own).cpu / other.cpu, 1, true);
    }
  }
  const rate = (what, name, goal) => add(`${what}: requests to nginx`, row(name, "stoa").rate / row(name, "nginx").rate, goal);
  const cost = (what, name, goal) => add(`${what}: CPU to nginx`, row(name, "stoa").cpu / row(name, "nginx").cpu, goal, true);
  for (const [own, how] of hops) {
    add(`proxied 1 MB: requests to nginx (${how})`, row("proxied-1m", own).rate / row("proxied-1m", "nginx").rate, 1.4);
  }
  rate("static 10 KB", "static-10k", 1.25);
  cost("static 10 KB", "static-10k", 0.75);
  rate("static 1 MB", "static-1m", 1);
  rate("TLS kept alive", "tls-10k", 1.2);
  cost("handshakes", "handshakes", 0.65);
  const best = Math.max(...cases.find((one) => one.name === "proxied-1k").rows.map((one) => one.rate));
  for (const local of cases.find((one) => one.name === "in-process").rows) {
    add(`${local.title}: requests to the best proxied`, local.rate / best, 2);
  }
  return lines;
}

/** Writes the file and gives its path. */
export function write({ cases, idle, lost, connections, versions }) {
  const date = new Date().toISOString().slice(0, 10);
  const parts = [`# The web server against others, ${date}

${machine()}. Servers, back end and load generator share the machine.
\`wrk -t2 -c${connections}\`, ${settings.seconds} s each after ${settings.warmUpSeconds} s of warming up; medians of ${settings.rounds} interleaved rounds.
${versions.join(", ")}. Made by \`make bench-web\`; how it is done: [bench/README.md](../README.md).

CPU: seconds of user and system time for 1,000 requests, of the proxy's own processes. With Stoa, “web” is the web
server and “web + app” has the app server too, which dials in and asks the back end; the link between them has TLS.
“One process” has both roles and no link: from client to back end it is as many hops as with the others.
Everything is on that a site has: sticky cookie, identities of requests, metrics, access log to a file
(${figure(lost, 0)} of Stoa's lines were lost).
`];
  for (const { title, rows } of cases) {
    parts.push(`## ${title}\n`, table(
      ["", "requests/s", "p50, ms", "p99, ms", "CPU s / 1,000"],
      rows.map((row) => [
        row.title, figure(row.rate, 0), small(row.p50), small(row.p99), row.hasMore ? `web ${cpu(row.cpu)}; web + app ${cpu(row.allCpu)}` : cpu(row.cpu),
      ]),
    ), "");
  }
  const added = ["tiers-1", "tiers-16"].map((name) => {
    const { title, rows: [one, three] } = cases.find((each) => each.name === name);
    return [title, ...["p50", "p99"].map((field) => `${figure(three[field] - one[field], 2)} ms`)];
  });
  parts.push("## What a web server of its own adds (option 3 to option 1)\n", table(["", "p50", "p99"], added), "");
  parts.push(`## Memory of an idle connection\n\nAfter one request, ${figure(idle.connections, 0)} connections, KB each; Stoa: the web server.\n`,
    table(["", "HTTP/1.1", "TLS"], idle.rows.map((row) => [row.title, figure(row.plain, 1), figure(row.secure, 1)])), "");
  parts.push("## Goals\n", table(["", "measured", "goal", "reached"], goals(cases)), "");
  const folder = join(repository, "bench", "results");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${process.env.BENCH_RESULT ?? `${date}-web`}.md`);
  writeFileSync(file, parts.join("\n"));
  return file;
}
