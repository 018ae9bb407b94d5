// nginx, HAProxy and Caddy as reverse proxies with all that a site has: see README.md.
import { readFileSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";
import { Running, freePort } from "../process.mjs";
import { HOST, folderOf, program, startNginx, writeNginx } from "./common.mjs";

const firstLine = (name, argument) => {
  const { stdout, stderr } = spawnSync(program(name), [argument], { encoding: "utf8" });
  return `${stdout}${stderr}`.trim().split("\n")[0];
};

const ports = async () => ({ plain: await freePort(), secure: await freePort() });
const addresses = ({ plain, secure }) => ({ plain: `http://${HOST}:${plain}`, secure: `https://${HOST}:${secure}` });

/** With files kept open and a buffered log: faster than Debian's settings. */
async function nginx({ files, chain, key }, back) {
  const folder = folderOf("nginx");
  const port = await ports();
  const server = (listen) => `
  server {
    ${listen}
    server_name ${HOST};
    root ${files};
    add_header X-Request-ID $request_id always;
    location /static/ { }
    location = /status { stub_status; }
    location / {
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Request-ID $request_id;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }`;
  writeNginx(folder, `
  access_log ${folder}/access.log combined buffer=64k flush=1s;
  open_file_cache max=1000 inactive=60s;
  upstream back { server 127.0.0.1:${back.port}; keepalive 128; keepalive_requests 1000000000; }
  ${server(`listen 127.0.0.1:${port.plain} backlog=4096;`)}
  ${server(`listen 127.0.0.1:${port.secure} ssl backlog=4096;
    ssl_certificate ${chain};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3;`)}`);
  const running = startNginx(folder);
  return { name: "nginx", title: "nginx", version: firstLine("nginx", "-v").replace("nginx version: ", ""), processes: [running], ...addresses(port), hasStatic: true };
}

async function haproxy({ chain, key }, back) {
  const folder = folderOf("haproxy");
  const port = await ports();
  writeFileSync(join(folder, "both.pem"), readFileSync(chain, "utf8") + readFileSync(key, "utf8"), { mode: 0o600 });
  const frontend = (name, bind) => `
frontend ${name}
  bind 127.0.0.1:${bind}
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
  http-response set-header X-Request-ID %[unique-id]
  default_backend back
`;
  writeFileSync(join(folder, "haproxy.cfg"), `
global
  nbthread ${cpus().length}
  maxconn 8000
  log stdout format raw local0 info
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  log global
  option httplog
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 75s
  timeout server 60s
${frontend("plain", port.plain)}
${frontend("secure", `${port.secure} ssl crt ${folder}/both.pem`)}
backend back
  cookie SERVERID insert indirect nocache
  server one 127.0.0.1:${back.port} cookie one check
`);
  // Its log is its output, which goes to a file.
  const running = new Running(program("haproxy"), ["-f", join(folder, "haproxy.cfg")], { log: join(folder, "log") });
  return { name: "haproxy", title: "HAProxy", version: firstLine("haproxy", "-v").split(" - ")[0], processes: [running], ...addresses(port), hasStatic: false };
}

async function caddy({ files, chain, key }, back) {
  const folder = folderOf("caddy");
  const port = await ports();
  const site = (address, tls) => `
${address} {
  bind 127.0.0.1
  ${tls}
  log {
    output file ${folder}/access.log
  }
  header X-Request-ID {http.request.uuid}
  handle /static/* {
    root * ${files}
    file_server
  }
  handle {
    reverse_proxy 127.0.0.1:${back.port} {
      lb_policy cookie
      header_up X-Request-ID {http.request.uuid}
      transport http {
        keepalive_idle_conns_per_host 128
      }
    }
  }
}`;
  writeFileSync(join(folder, "Caddyfile"), `
{
  admin off
  auto_https off
  default_sni ${HOST}
  servers {
    metrics
    protocols h1 h2
  }
}
${site(`http://${HOST}:${port.plain}`, "")}
${site(`https://${HOST}:${port.secure}`, `tls ${chain} ${key}`)}
`);
  const environment = { ...process.env, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  const running = new Running(program("caddy"), ["run", "--config", join(folder, "Caddyfile")], { log: join(folder, "log"), env: environment });
  return { name: "caddy", title: "Caddy", version: `Caddy ${firstLine("caddy", "version")}`, processes: [running], ...addresses(port), hasStatic: true };
}

/** All three, started. */
export async function peers(shared, back) {
  const all = [await nginx(shared, back), await haproxy(shared, back), await caddy(shared, back)];
  await Promise.all(all.map((peer) => peer.processes[0].firstAnswer(`${peer.plain}/one.bin`)));
  return all;
}
