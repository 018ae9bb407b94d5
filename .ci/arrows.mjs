// The forbidden arrows of the design: which crate of ours must not know which, however indirectly.
import { execFileSync } from "node:child_process";

const forbidden = {
  "stoa-model": ["stoa-odata", "stoa-store", "stoa-schema", "stoa-runtime", "stoa-link", "stoa-web", "stoa-release"],
  "stoa-odata": ["stoa-store", "stoa-schema", "stoa-runtime", "stoa-link", "stoa-web"],
  "stoa-store": ["stoa-odata", "stoa-schema", "stoa-runtime", "stoa-link", "stoa-web"],
  "stoa-schema": ["stoa-odata", "stoa-runtime", "stoa-link", "stoa-web"],
  "stoa-runtime": ["stoa-link", "stoa-web"],
  "stoa-link": ["stoa-model", "stoa-odata", "stoa-store", "stoa-schema", "stoa-runtime"],
  "stoa-web": ["stoa-model", "stoa-odata", "stoa-store", "stoa-schema", "stoa-runtime"],
};
const onlyInTests = "stoa-testing";

const { packages } = JSON.parse(
  execFileSync("cargo", ["metadata", "--no-deps", "--format-version", "1"], { maxBuffer: 1 << 28 }),
);
const arrows = new Map(
  packages.map((crate) => [
    crate.name,
    crate.dependencies.filter((dependency) => dependency.kind === null && dependency.path).map((d) => d.name),
  ]),
);

// The path from one crate to another, if there is one.
function path(from, to, seen = new Set()) {
  for (const next of arrows.get(from) ?? []) {
    if (next === to) return [from, to];
    if (seen.has(next)) continue;
    seen.add(next);
    const rest = path(next, to, seen);
    if (rest) return [from, ...rest];
  }
  return undefined;
}

const faults = [];
for (const crate of arrows.keys()) {
  const targets = [...(forbidden[crate] ?? []), ...(crate === onlyInTests ? [] : [onlyInTests])];
  for (const target of targets) {
    const found = path(crate, target);
    if (found) faults.push(found.join(" → "));
  }
}
if (faults.length > 0) {
  console.error(`forbidden arrows between crates (see ARCHITECTURE.md):\n  ${faults.join("\n  ")}`);
  process.exit(1);
}
console.log(`${arrows.size} crates, no forbidden arrow`);
