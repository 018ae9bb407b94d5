// Full TLS 1.3 handshakes: nothing is resumed, and no request follows.
import { spawn } from "node:child_process";

const CLIENTS = 4;

/** Runs clients side by side for whole seconds. */
export async function handshakes(address, seconds) {
  const { host } = new URL(address);
  const start = performance.now();
  const counts = await Promise.all(Array.from({ length: CLIENTS }, () => client(host, Math.ceil(seconds))));
  const requests = counts.reduce((sum, count) => sum + count, 0);
  const elapsed = (performance.now() - start) / 1000;
  return { requests, seconds: elapsed, rate: requests / elapsed, errors: 0 };
}

async function client(host, seconds) {
  const child = spawn("openssl", ["s_time", "-connect", host, "-new", "-tls1_3", "-time", String(seconds)], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (piece) => (output += piece));
  child.stderr.on("data", (piece) => (output += piece));
  const code = await new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
  const match = /^(\d+) connections in \d+ real seconds/m.exec(output);
  if (code !== 0 || !match || Number(match[1]) === 0) throw new Error(`openssl s_time failed (${code}):\n${output}`);
  return Number(match[1]);
}
