// Stoa's sites: a web server and an app server with the link between them, and both roles in one process.
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeModel } from "../application.mjs";
import { repository } from "../settings.mjs";
import { Running, freePort, run } from "../process.mjs";
import { binary } from "../peers/stoa.mjs";
import { HOST, folderOf, sizes } from "./common.mjs";

const quoted = (text) => JSON.stringify(text);

function webPart(name, roles, folder, { port, link, metrics, certificate }) {
  const lines = [
    `[server.${name}]`, `roles = [${roles.map(quoted).join(", ")}]`, `data = ${quoted(join(folder, "data", name))}`,
    `[server.${name}.web]`, `${certificate ? "https" : "http"} = "127.0.0.1:${port}"`, `metrics = "127.0.0.1:${metrics}"`,
  ];
  if (link) lines.push(`link = "127.0.0.1:${link}"`);
  if (certificate) {
    lines.push(`[[server.${name}.web.certificate]]`, `chain = ${quoted(certificate.chain)}`, `key = ${quoted(certificate.key)}`);
  }
  return lines.join("\n");
}

function start(folder, file, server) {
  return new Running(
    binary(),
    ["serve", "--site", file, "--server", server, "--access-log", "--access-log-file", join(folder, `${server}-access.log`)],
    { log: join(folder, `${server}.log`) },
  );
}

/** A web server and an app server with one environment. */
function two(name, environment, certificate) {
  return startTwo(name, `[environment.bench]\nhosts = ["${HOST}"]\n${environment}`, certificate);
}

/** A web server and an app server, told apart by their environments. */
export async function startTwo(name, environments, certificate) {
  const folder = folderOf(name);
  const [port, link, metrics, appMetrics] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const file = join(folder, "stoa.toml");
  writeFileSync(file, `[site]
name = "bench"

${webPart("web", ["web"], folder, { port, link, metrics, certificate })}

[server.app]
roles = ["app"]
data = ${quoted(join(folder, "data", "app"))}
[server.app.app]
metrics = "127.0.0.1:${appMetrics}"

${environments}
`);
  run(binary(), ["trust", "init", file]);
  run(binary(), ["trust", "issue", file]);
  // A web server refuses a file that says where databases are.
  const part = join(folder, "web.toml");
  run(binary(), ["site", "extract", file, "--server", "web", "--output", part]);
  const processes = [start(folder, part, "web"), start(folder, file, "app")];
  return { processes, metrics, [certificate ? "secure" : "plain"]: `${certificate ? "https" : "http"}://${HOST}:${port}` };
}

/** Any HTTP application behind web server, link and app server; its static files are served by the web server. */
export async function foreign({ files, chain, key }, back) {
  const environment = `upstream = ["http://127.0.0.1:${back.port}"]\nstatic = ${quoted(files)}`;
  const plain = await two("stoa-plain", environment);
  const secure = await two("stoa-secure", environment, { chain, key });
  return {
    name: "stoa", title: "Stoa", version: run(binary(), ["--version"]).trim(), hasStatic: true,
    processes: plain.processes, secureProcesses: secure.processes, plain: plain.plain, secure: secure.secure,
    metrics: [plain.metrics, secure.metrics],
  };
}

function application(folder) {
  const app = join(folder, "application");
  writeModel(app, { rules: false });
  cpSync(join(repository, "examples/wholesale/data"), join(app, "data"), { recursive: true });
  mkdirSync(join(app, "web"), { recursive: true });
  writeFileSync(join(app, "web", "one.bin"), "0123456789abcdef".repeat(sizes.one / 16));
  return app;
}

/** Both roles in one process. */
async function together(name, title, environment) {
  const folder = folderOf(name);
  const [port, metrics] = [await freePort(), await freePort()];
  const file = join(folder, "stoa.toml");
  writeFileSync(file, `[site]
name = "bench"

${webPart("main", ["web", "app"], folder, { port, metrics })}

[environment.bench]
hosts = ["${HOST}"]
${environment(folder)}
`);
  return { name, title, plain: `http://${HOST}:${port}`, processes: [start(folder, file, "main")], metrics: [metrics] };
}

/** Any HTTP application behind one process: as many hops as with the others. */
export function foreignHere(back) {
  return together("stoa-here", "Stoa, one process", () => `upstream = ["http://127.0.0.1:${back.port}"]`);
}

/** Option 1: the example in one process with both roles. */
export function optionOne() {
  return together("option-1", "Stoa, option 1", (folder) => `application = ${quoted(application(folder))}`);
}

/** Option 3: the same application, with a web server before it. */
export async function optionThree() {
  const folder = folderOf("option-3-application");
  const site = await two("option-3", `application = ${quoted(application(folder))}`);
  return { name: "option-3", title: "Stoa, option 3", plain: site.plain, processes: site.processes, metrics: [site.metrics] };
}
