// wrk: requests of a workload against an address, and what came of it.
import { mkdirSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { cache, settings } from "./settings.mjs";

// All requests are formatted once, so that wrk's own work per request is small and the same for all peers.
const script = (requests) => `
local requests = {}
local next_one = 0
local list = {
${requests.map(({ method, path, headers, body }) => `{${[method, path, body ?? ""].map(quoted).join(",")},{${Object.entries(headers ?? {}).map(([name, value]) => `[${quoted(name)}]=${quoted(value)}`).join(",")}}}`).join(",\n")}
}
local threads = 0
function setup(thread) thread:set("number", threads); threads = threads + 1 end
function init(args)
  for i, r in ipairs(list) do
    local body = r[3]
    if body == "" then body = nil end
    requests[i] = wrk.format(r[1], r[2], r[4], body)
  end
  next_one = math.floor(#requests / 2) * number
end
function request()
  next_one = next_one % #requests + 1
  return requests[next_one]
end
function done(summary, latency, r)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
`;

const quoted = (text) => `"${String(text).replace(/[\\"\n\r]/g, (c) => ({ "\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r" })[c])}"`;

/** Writes the script of a workload for a peer. */
export function prepare(name, requests) {
  const folder = join(cache, "load");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}.lua`);
  writeFileSync(file, script(requests));
  return file;
}

/** Runs wrk for so many seconds. Latencies in milliseconds. */
export async function wrk(address, file, seconds, connections = settings.connections) {
  const child = spawn(
    "wrk",
    [`-t${Math.min(2, connections)}`, `-c${connections}`, `-d${seconds}s`, "--timeout", "10s", "-s", file, address],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  child.stdout.on("data", (piece) => (output += piece));
  child.stderr.on("data", (piece) => (output += piece));
  await new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
  const match = /^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)$/m.exec(output);
  if (!match) throw new Error(`wrk failed:\n${output}`);
  const [requests, microseconds, p50, p99, errors] = match.slice(1).map(Number);
  return { requests, seconds: microseconds / 1e6, rate: requests / (microseconds / 1e6), p50: p50 / 1000, p99: p99 / 1000, errors };
}
