// Prints the target folder out of `cargo metadata` on stdin.
import { readFileSync } from "node:fs";

process.stdout.write(JSON.parse(readFileSync(0, "utf8")).target_directory);
