// The committed sample data is what the generator writes, and the JSON Schemas what the server prints.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const application = fileURLToPath(new URL("..", import.meta.url));
const generate = (folder, ...options) => execFileSync(process.execPath, [join(application, "generate.mjs"), "--out", folder, ...options], { encoding: "utf8" });

function inTemporaryFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), "wholesale-data-"));
  try {
    work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("the generator writes the committed files, byte for byte", () => inTemporaryFolder((folder) => {
  generate(folder);
  const files = readdirSync(folder).sort();
  assert.deepEqual(readdirSync(join(application, "data")).sort(), files);
  for (const file of files) assert.ok(readFileSync(join(folder, file)).equals(readFileSync(join(application, "data", file))), `${file} differs`);
}));

test("every number of orders is written exactly, and sums agree with their lines", () => inTemporaryFolder((folder) => {
  generate(folder, "--orders", "777", "--customers", "50", "--products", "40");
  const rows = (name) => readFileSync(join(folder, `${name}.csv`), "utf8").trimEnd().split("\n").slice(1).map((line) => line.split(","));
  const orders = rows("Orders");
  assert.equal(orders.length, 777);
  const sums = new Map();
  for (const [order, , quantity, price, discount] of rows("OrderLine")) {
    const cents = Math.round((quantity * Math.round(price * 100) * Math.round((1 - discount) * 100)) / 100);
    sums.set(order, (sums.get(order) ?? 0) + cents);
  }
  for (const [id, , , , , total] of orders) assert.equal((sums.get(id) / 100).toFixed(2), total);
  assert.throws(() => generate(folder, "--orders", "none"), /Command failed/);
}));

test("the committed JSON Schemas are those of the built server", { skip: !existsSync(process.env.STOA_BIN ?? "") && "STOA_BIN names no server" }, () => {
  for (const of of ["app", "model"]) {
    const committed = readFileSync(join(application, `../../docs/schema/${of}.schema.json`), "utf8");
    const printed = execFileSync(process.env.STOA_BIN, ["schema", of], { encoding: "utf8" });
    assert.ok(printed === committed, `docs/schema/${of}.schema.json is out of date: write it anew with "stoa schema ${of}"`);
  }
});
