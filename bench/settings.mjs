// What a run of the benchmarks can be told, by environment variables.
import { fileURLToPath } from "node:url";
import { join } from "node:path";

export const repository = fileURLToPath(new URL("..", import.meta.url));
// Peers, their databases and generated data; made again when removed.
export const cache = join(repository, "bench", ".cache");

const list = (text, all) => (text ? text.split(",").map((item) => item.trim()) : all);
const number = (name, fallback) => {
  const value = Number(process.env[name] ?? fallback);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${name} must be a positive number`);
  return value;
};

export const allWorkloads = ["W1", "W2", "W3", "W4", "W5"];
export const allPeers = [
  "stoa-sqlite", "stoa-postgres", "pocketbase", "cap", "nginx", "nginx-tuned", "pgbench", "sqlite",
];

export const settings = {
  seconds: number("BENCH_SECONDS", 5),
  rounds: number("BENCH_ROUNDS", 3),
  warmUpSeconds: number("BENCH_WARM_UP_SECONDS", 1),
  starts: number("BENCH_STARTS", 5),
  connections: number("BENCH_CONNECTIONS", 32),
  customers: number("BENCH_CUSTOMERS", 10_000),
  products: number("BENCH_PRODUCTS", 1_000),
  orders: number("BENCH_ORDERS", 100_000),
  peers: list(process.env.BENCH_PEERS, allPeers),
  workloads: list(process.env.BENCH_WORKLOADS, allWorkloads),
  binary: process.env.STOA_BIN,
};

for (const [name, given, known] of [
  ["BENCH_PEERS", settings.peers, allPeers],
  ["BENCH_WORKLOADS", settings.workloads, allWorkloads],
]) {
  const unknown = given.filter((item) => !known.includes(item));
  if (unknown.length > 0) throw new Error(`${name}: no ${unknown.join(", ")}; there are ${known.join(", ")}`);
}

export const titles = {
  W1: "one order by key",
  W2: "50 orders of one customer by date",
  W3: "20 orders with customer and lines",
  W4: "create one order",
  W5: "static file, 10 KB",
};
