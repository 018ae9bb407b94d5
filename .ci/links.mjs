// Relative links and pictures in the documentation lead somewhere.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const pages = execFileSync("git", ["ls-files", "*.md"], { encoding: "utf8" }).trim().split("\n");
const broken = [];
for (const page of pages) {
  const text = readFileSync(page, "utf8").replace(/```[\s\S]*?```/g, "").replace(/`[^`]*`/g, "");
  for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^([a-z]+:|#)/.test(target)) continue;
    if (!existsSync(join(dirname(page), decodeURIComponent(target.split("#")[0])))) broken.push(`${page}: ${target}`);
  }
}
if (broken.length > 0) {
  console.error(`links that lead nowhere:\n  ${broken.join("\n  ")}`);
  process.exit(1);
}
console.log(`${pages.length} pages, no broken link`);
