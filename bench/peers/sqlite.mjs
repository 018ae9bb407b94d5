// The limit on SQLite: one thread runs the SQL of each workload in Stoa's own database file, without HTTP.
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { cache, repository } from "../settings.mjs";
import { run } from "../process.mjs";

/** The database file in Stoa's data folder. */
function find(folder) {
  const file = readdirSync(folder).map((name) => join(folder, name)).find((name) => /\.(db|sqlite3?)$/.test(name));
  if (!file) throw new Error(`no SQLite database in ${folder}`);
  return file;
}

export async function sqlite({ keys, databaseFolder }) {
  run("cargo", ["build", "--release", "--locked", "--package", "stoa-testing", "--example", "sqlite_limit"], { cwd: repository });
  const target = JSON.parse(run("cargo", ["metadata", "--no-deps", "--format-version", "1"], { cwd: repository })).target_directory;
  const program = join(target, "release", "examples", "sqlite_limit");
  const keyFile = join(cache, "keys.json");
  writeFileSync(keyFile, JSON.stringify(keys));
  if (!existsSync(program)) throw new Error(`${program} was not built`);
  return {
    name: "sqlite",
    title: "SQLite (limit)",
    version: run(program, ["--version"]).trim(),
    note: "one thread, prepared statements, no HTTP; W4 one durable commit each",
    limit: true,
    workloads: ["W1", "W2", "W3", "W4"],
    async measure(workload, seconds) {
      const child = spawn(program, [find(databaseFolder), keyFile, workload, String(seconds)], { stdio: ["ignore", "pipe", "inherit"] });
      let output = "";
      child.stdout.on("data", (piece) => (output += piece));
      const code = await new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
      if (code !== 0) throw new Error(`sqlite_limit failed on ${workload}`);
      return { ...JSON.parse(output), errors: 0 };
    },
  };
}
