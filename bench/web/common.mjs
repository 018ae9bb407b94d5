// What all servers of the web benchmark have in common: files, a certificate, a folder for each, the back end.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { cache } from "../settings.mjs";
import { Running, freePort, run } from "../process.mjs";

export const root = join(cache, "web");
export const HOST = "localhost";
export const sizes = { one: 1024, ten: 10 * 1024, million: 1024 * 1024 };

/** A new empty folder. */
export function folderOf(name) {
  const folder = join(root, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

export const program = (name) => run("sh", ["-c", `PATH=$PATH:/usr/sbin command -v ${name}`]).trim();

const content = (bytes) => "0123456789abcdef".repeat(bytes / 16);

/** Static files below `static/`, and a certificate with its key; the same for all. */
export function shared() {
  const folder = folderOf("shared");
  const files = join(folder, "files");
  mkdirSync(join(files, "static"), { recursive: true });
  for (const name of ["ten", "million"]) writeFileSync(join(files, "static", `${name}.bin`), content(sizes[name]));
  const [chain, key] = [join(folder, "chain.pem"), join(folder, "key.pem")];
  run("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
    "-subj", `/CN=${HOST}`, "-addext", `subjectAltName=DNS:${HOST}`, "-keyout", key, "-out", chain,
  ]);
  return { files, chain, key };
}

/** nginx that answers a kilobyte from memory and a megabyte from a file: behind all of them. */
export async function backEnd(name = "back-end") {
  const folder = folderOf(name);
  const port = await freePort();
  writeFileSync(join(folder, "million.bin"), content(sizes.million));
  writeNginx(folder, `
  access_log off;
  open_file_cache max=100;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${folder};
    location = /one.bin { default_type application/octet-stream; return 200 "${content(sizes.one)}"; }
  }`);
  const server = startNginx(folder);
  await server.firstAnswer(`http://127.0.0.1:${port}/one.bin`);
  return { port, server };
}

/** nginx's configuration around what is its own in `http`. */
export function writeNginx(folder, http) {
  writeFileSync(join(folder, "nginx.conf"), `
daemon off;
${process.getuid() === 0 ? "user root;" : ""}
worker_processes ${cpus().length};
pid ${folder}/pid;
error_log ${folder}/error.log warn;
events { worker_connections 20000; }
http {
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  types { application/octet-stream bin; }
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n  ")}
  ${http}
}
`);
}

export function startNginx(folder) {
  return new Running(program("nginx"), ["-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log")], { log: join(folder, "log") });
}
