// A PostgreSQL cluster of the benchmark's own, with PostgreSQL's own durability.
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cache } from "./settings.mjs";
import { Running, freePort, run } from "./process.mjs";

export function programs() {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).map(Number).filter((v) => existsSync(join(root, String(v), "bin", "initdb"))) : [];
  if (versions.length === 0) throw new Error("PostgreSQL's server is not installed: .ci/tools bench");
  return join(root, String(Math.max(...versions)), "bin");
}

/** It refuses to run as root: then it runs as the user `postgres`. */
function identity() {
  if (process.getuid() !== 0) return {};
  const line = readFileSync("/etc/passwd", "utf8").split("\n").find((entry) => entry.startsWith("postgres:"));
  const [, , uid, gid] = line.split(":").map(Number);
  return { uid, gid };
}

export class Postgres {
  static async start() {
    const postgres = new Postgres();
    // Outside the tree: the user `postgres` may not be able to enter it.
    postgres.folder = run("mktemp", ["-d", "/tmp/stoa-bench-XXXXXX"]).trim();
    postgres.options = { ...identity(), cwd: postgres.folder };
    if (postgres.options.uid) run("chown", [`${postgres.options.uid}:${postgres.options.gid}`, postgres.folder]);
    postgres.port = await freePort();
    const data = join(postgres.folder, "data");
    run(join(programs(), "initdb"), ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"], postgres.options);
    appendFileSync(join(data, "postgresql.conf"), [
      "listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", `port = ${postgres.port}`,
      "shared_buffers = 512MB", "max_wal_size = 4GB", "",
    ].join("\n"));
    mkdirSync(join(cache, "postgres"), { recursive: true });
    postgres.server = new Running(join(programs(), "postgres"), ["-D", data], { log: join(cache, "postgres", "log"), ...postgres.options });
    for (let attempt = 0; ; attempt += 1) {
      try {
        postgres.sql("postgres", "SELECT 1");
        break;
      } catch (error) {
        if (attempt > 300) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    postgres.version = postgres.sql("postgres", "SHOW server_version").trim();
    return postgres;
  }

  get pid() {
    return this.server.pid;
  }

  /** An empty database. */
  async database(name) {
    this.sql("postgres", `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    this.sql("postgres", `CREATE DATABASE ${name} TEMPLATE template0`);
    return { name, url: `postgres://postgres@127.0.0.1:${this.port}/${name}` };
  }

  /** Runs SQL and gives the rows as text, columns separated by `|`. */
  sql(database, text) {
    return run(join(programs(), "psql"), ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", String(this.port), "-U", "postgres", "-d", database, "-f", "-"], { input: text });
  }

  async stop() {
    await this.server.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
