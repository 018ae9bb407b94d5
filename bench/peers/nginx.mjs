// nginx, for the static file only.
import { mkdirSync, cpSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";
import { cache } from "../settings.mjs";
import { Running, freePort, run } from "../process.mjs";

// `keepsFilesOpen`: tuned with open_file_cache, which Debian's configuration does not have.
export async function nginx({ staticFile, keepsFilesOpen = false }) {
  const name = keepsFilesOpen ? "nginx-tuned" : "nginx";
  const folder = join(cache, name);
  mkdirSync(join(folder, "web"), { recursive: true });
  cpSync(staticFile, join(folder, "web", "ten.bin"));
  const port = await freePort();
  // Debian's defaults for serving files, but no access log: Stoa writes none either.
  writeFileSync(join(folder, "nginx.conf"), `
daemon off;
worker_processes ${cpus().length};
pid ${folder}/pid;
error_log ${folder}/error.log warn;
events { worker_connections 768; }
http {
  sendfile on;
  tcp_nopush on;
  access_log off;
  etag on;
  keepalive_requests 1000000;
  ${keepsFilesOpen ? "open_file_cache max=1000 inactive=60s;" : ""}
  types { application/octet-stream bin; }
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n  ")}
  server { listen 127.0.0.1:${port}; root ${folder}/web; }
}
`);
  const program = run("sh", ["-c", "PATH=$PATH:/usr/sbin command -v nginx"]).trim();
  const address = `http://127.0.0.1:${port}`;
  // Workers run as root's own user, who owns the folder.
  const user = process.getuid() === 0 ? "user root;" : "";
  return {
    name,
    title: keepsFilesOpen ? "nginx, tuned" : "nginx",
    version: spawnSync(program, ["-v"], { encoding: "utf8" }).stderr.trim().replace("nginx version: ", ""),
    note: keepsFilesOpen ? "static file only; open_file_cache on" : "static file only; Debian's settings, no access log",
    address,
    first: `${address}/ten.bin`,
    start: () => new Running(program, ["-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log"), ...(user ? ["-g", user] : [])], { log: join(folder, "log") }),
    sizePaths: [program],
    requests: { W5: [{ method: "GET", path: "/ten.bin" }] },
  };
}
