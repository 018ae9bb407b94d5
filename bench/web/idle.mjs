// Memory that an idle connection takes: after one request, kept alive.
import http from "node:http";
import https from "node:https";
import { residentMegabytes } from "../process.mjs";

const AT_ONCE = 50;
const total = (pids) => pids.reduce((sum, pid) => sum + residentMegabytes(pid), 0);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Kilobytes for each of so many connections, of all the processes together. */
export async function idleKilobytes(url, pids, count) {
  const { Agent } = url.startsWith("https") ? https : http;
  const first = new Agent({ keepAlive: true, maxSockets: AT_ONCE, rejectUnauthorized: false });
  // What is set up once only must not be counted.
  await open(first, url, AT_ONCE);
  const before = total(pids);
  const agents = [first];
  for (let opened = 0; opened < count; opened += AT_ONCE) {
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE, maxFreeSockets: AT_ONCE, rejectUnauthorized: false });
    agents.push(agent);
    await open(agent, url, AT_ONCE);
  }
  await pause(1000);
  const after = total(pids);
  const held = agents.slice(1).reduce((sum, agent) => sum + Object.values(agent.freeSockets).flat().length, 0);
  for (const agent of agents) agent.destroy();
  if (held !== count) throw new Error(`${url}: ${held} of ${count} idle connections were held`);
  return ((after - before) * 1024) / count;
}

/** As many requests at once as connections are wanted. */
async function open(agent, url, count) {
  const get = (url.startsWith("https") ? https : http).get;
  await Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      response.resume();
      response.on("end", () => (response.statusCode === 200 ? resolve() : reject(new Error(`${url}: ${response.statusCode}`))));
    }).on("error", reject);
  })));
  // A socket is free a moment after the end of its answer.
  await pause(5);
}
