// The example as the benchmarks serve it: with its access rules, or with everything allowed to everybody.
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./settings.mjs";

/** Writes `app.toml` and `model/` of the example into a folder. */
export function writeModel(folder, { rules }) {
  mkdirSync(folder, { recursive: true });
  cpSync(join(repository, "examples/wholesale/model"), join(folder, "model"), { recursive: true });
  writeFileSync(join(folder, "app.toml"), `name = "Wholesale"\nlabel = "Wholesale"\n${rules ? "" : "\n[access]\nanonymous = true\n"}`);
  if (rules) return;
  for (const file of readdirSync(join(folder, "model"))) {
    const path = join(folder, "model", file);
    writeFileSync(path, opened(readFileSync(path, "utf8")));
  }
}

/** The text of a model without its rules, and with one for anonymous users in each entity. */
function opened(text) {
  return text
    .split(/^(?=\[)/m)
    .filter((part) => !/^\[\[entity\..*\.access\]\]/.test(part))
    .map((part) => {
      const name = /^\[entity\.([^.\]]+)\]/.exec(part)?.[1];
      if (!name) return part;
      return `${part}[[entity.${name}.access]]\nrole = "Anonymous"\ncreate = true\ndelete = true\nread = "*"\nwrite = "*"\n\n`;
    })
    .join("");
}
