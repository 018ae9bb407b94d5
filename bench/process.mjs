// Processes: starting, stopping, waiting for their first answer, and what they cost, from /proc.
import { spawn, spawnSync } from "node:child_process";
import { openSync, readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import http from "node:http";

const TICKS_PER_SECOND = Number(spawnSync("getconf", ["CLK_TCK"]).stdout.toString()) || 100;

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Runs a program to its end; throws with its output if it fails. */
export function run(program, args, options = {}) {
  const result = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 28, ...options });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    throw new Error(`${program} ${args.join(" ")} failed (${result.status ?? result.signal}):\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}

export function has(program) {
  return spawnSync("which", [program]).status === 0;
}

/** A server that is running; its output goes to `log`. */
export class Running {
  constructor(program, args, { log, ...options }) {
    this.log = log;
    const file = openSync(log, "w");
    this.startedAt = performance.now();
    this.child = spawn(program, args, { stdio: ["ignore", file, file], ...options });
    this.ended = new Promise((resolve) => this.child.on("exit", (code, signal) => resolve(code ?? signal)));
    this.ended.then((how) => (this.how = how));
    this.child.on("error", (error) => (this.how = error.message));
    children.add(this);
  }

  get pid() {
    return this.child.pid;
  }

  /** Milliseconds from the start of the process to the first 200 for `url`. */
  async firstAnswer(url, limit = 600_000) {
    for (;;) {
      if (this.how !== undefined) throw new Error(`ended with ${this.how}: see ${this.log}`);
      const status = await statusOf(url);
      const elapsed = performance.now() - this.startedAt;
      if (status === 200) return elapsed;
      if (elapsed > limit) throw new Error(`no answer from ${url} (last status ${status}): see ${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async stop() {
    children.delete(this);
    this.child.kill("SIGTERM");
    const killer = setTimeout(() => this.child.kill("SIGKILL"), 20_000);
    await this.ended;
    clearTimeout(killer);
  }
}

const children = new Set();

export async function stopAll() {
  await Promise.all([...children].map((child) => child.stop()));
}

function statusOf(url) {
  return new Promise((resolve) => {
    const request = http.get(url, { agent: false }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode));
      response.on("error", () => resolve(undefined));
    });
    request.on("error", () => resolve(undefined));
  });
}

/** A request's status and body. */
export function request(url, { method = "GET", headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(url, { method, headers, agent: false }, (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece));
      response.on("end", () => resolve({ status: response.statusCode, body: Buffer.concat(pieces).toString() }));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

function stat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/** The process and its descendants. */
export function family(pid) {
  const parents = new Map();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const fields = stat(name);
    if (fields) parents.set(Number(name), Number(fields[1]));
  }
  const found = [pid];
  for (const member of found) {
    for (const [child, parent] of parents) if (parent === member) found.push(child);
  }
  return found;
}

/** CPU seconds that a process and its descendants, those that have ended included, have used. */
export function cpuSeconds(pid) {
  let ticks = 0;
  for (const member of family(pid)) {
    const fields = stat(member);
    // utime, stime; and cutime, cstime: of children that were waited for.
    if (fields) ticks += [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field]), 0);
  }
  return ticks / TICKS_PER_SECOND;
}

/** Resident megabytes of a process and its descendants; pages that they share count once. */
export function residentMegabytes(pid) {
  let kilobytes = 0;
  for (const member of family(pid)) {
    try {
      const text = readFileSync(`/proc/${member}/smaps_rollup`, "utf8");
      kilobytes += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    } catch {
      // Ended meanwhile.
    }
  }
  return kilobytes / 1024;
}
