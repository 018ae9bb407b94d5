// Starts the built server on a copy of the application, and the browser.

import { execFileSync, spawn } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const APPLICATION = fileURLToPath(new URL("..", import.meta.url));
const START_MILLISECONDS = 120_000; // the first start loads the sample data, on a slow machine too

/** The address of a server of our own, or of the one named by WHOLESALE_URL (with WHOLESALE_TOKEN, of the manager, for writing). */
export async function startServer() {
  if (process.env.WHOLESALE_URL) return { url: process.env.WHOLESALE_URL, token: process.env.WHOLESALE_TOKEN, stop: async () => {} };
  const binary = process.env.STOA_BIN;
  if (!binary || !existsSync(binary)) throw new Error(`STOA_BIN must name the built server, not ${JSON.stringify(binary)}`);
  const folder = await mkdtemp(join(tmpdir(), "wholesale-"));
  const application = join(folder, "wholesale");
  await cp(APPLICATION, application, { recursive: true, filter: (source) => !/[\\/](\.stoa|node_modules|test)([\\/]|$)/.test(source.slice(APPLICATION.length - 1)) });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  // Nothing of the tester's own settings; and no admin listener, which would want a fixed port.
  const environment = { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("STOA_"))), STOA_ADMIN: "off" };
  const server = spawn(binary, ["run", application, "--demo-users", "--listen", `127.0.0.1:${port}`], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (data) => { output = (output + data).slice(-20_000); });
  const exited = new Promise((resolve) => server.once("exit", (code, signal) => resolve(code ?? signal)));
  let ended = null;
  exited.then((code) => { ended = code; });

  const stop = async () => {
    if (ended === null) server.kill("SIGTERM");
    const late = setTimeout(() => server.kill("SIGKILL"), 15_000);
    const code = await exited;
    clearTimeout(late);
    await rm(folder, { recursive: true, force: true });
    return code;
  };
  const until = Date.now() + START_MILLISECONDS;
  for (;;) {
    if (ended !== null) {
      await rm(folder, { recursive: true, force: true });
      throw new Error(`the server ended with ${ended}:\n${output}`);
    }
    try {
      const answer = await fetch(new URL("health/ready", url));
      if (answer.ok) {
        const token = execFileSync(binary, ["token", "create", application, "edda.bisset", "tests", "--write"], { env: environment, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
        return { url, token, stop, output: () => output };
      }
      if (Date.now() > until) throw new Error(`answered ${answer.status}`);
    } catch (error) {
      if (Date.now() > until) {
        await stop();
        throw new Error(`the server is not ready after ${START_MILLISECONDS} ms (${error.message}):\n${output}`);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** A browser that talks to nobody but the server. Its place: CHROMIUM, or where systems put it. */
export function startBrowser() {
  const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];
  const executablePath = places.find((place) => place && existsSync(place));
  if (!executablePath) throw new Error("no Chromium found: install it, or name it with the variable CHROMIUM");
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}
