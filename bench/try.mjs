import { writeFileSync, mkdirSync } from "node:fs";
import { generate, keys as readKeys } from "./data.mjs";
import { pocketbase } from "./peers/pocketbase.mjs";
import { cap } from "./peers/cap.mjs";
import { nginx } from "./peers/nginx.mjs";
import { prepare, wrk } from "./load.mjs";
import { cpuSeconds, residentMegabytes, request, stopAll } from "./process.mjs";
import { cache } from "./settings.mjs";
import { join } from "node:path";
const data = generate(); const keys = readKeys(data.folder);
console.log(Object.fromEntries(Object.entries(keys).map(([k,v])=>[k,v.length])));
const staticFile = join(cache, "ten.bin"); writeFileSync(staticFile, Buffer.alloc(10240, "stoa"));
for (const make of [pocketbase, cap, nginx]) {
  console.time("prepare"); const peer = await make({ data, keys, staticFile }); console.timeEnd("prepare");
  const r = peer.start(); console.log(peer.name, peer.version, "start", await r.firstAnswer(peer.first), "rss", residentMegabytes(r.pid));
  if (peer.check) console.log(await peer.check());
  for (const [w, list] of Object.entries(peer.requests)) {
    const a = await request(peer.address + list[0].path, list[0]); console.log(w, a.status, a.body.slice(0, 150));
    const c = cpuSeconds(r.pid); const f = prepare(`${peer.name}-${w}`, list);
    console.log(await wrk(peer.address, f, 1), cpuSeconds(r.pid) - c);
  }
  await r.stop();
}
await stopAll();
