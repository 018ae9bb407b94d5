// The page of the example, as its users work with it: in a browser, against the built server.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { startBrowser, startServer } from "./server.mjs";

const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
let server;
let browser;
let contexts = [];
const complaints = [];

before(async () => {
  server = await startServer();
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  const code = await server?.stop();
  if (server && !process.env.WHOLESALE_URL) assert.equal(code, 0, "the server ends with 0 on SIGTERM");
});

afterEach(async () => {
  await Promise.all(contexts.map((context) => context.close()));
  contexts = [];
  assert.deepEqual(complaints.splice(0), [], "the browser's console is silent");
});

const PASSWORD = /^password = "(.*)"$/m.exec(readFileSync(new URL("../app.toml", import.meta.url), "utf8"))[1];
const signedIn = new Map(); // cookies by user: signing in is slow on purpose

/** Fills in the sign-in page and comes back to where the page was. */
async function signIn(page, name) {
  await page.fill("[name=name]", name);
  await page.fill("[name=password]", PASSWORD);
  await page.locator("main button").first().click();
}

/** A page in a browser session of its own, of one of the users for demonstration. `expected`: HTTP statuses that the console may complain of. */
async function open(hash, { as = "edda.bisset", viewport = DESKTOP, expected = [], colorScheme = "light" } = {}) {
  if (as && !signedIn.has(as)) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(new URL("/-/sign-in", server.url).href);
    await signIn(page, as);
    await page.waitForSelector(".person-name");
    signedIn.set(as, await context.storageState());
    await context.close();
  }
  const context = await browser.newContext({ viewport, colorScheme, storageState: as ? signedIn.get(as) : undefined });
  contexts.push(context);
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  page.on("console", (message) => {
    const text = message.text();
    const isExpected = expected.some((status) => text.includes(`status of ${status}`));
    if (["error", "warning"].includes(message.type()) && !isExpected) complaints.push(text);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(server.url + hash);
  await page.waitForSelector("h1");
  return page;
}

/** Until the list shows the answer to the last change. */
const settled = (page) => page.waitForFunction(() => document.querySelector(".results") && !document.querySelector(".results[aria-busy]"));
const texts = (page, selector) => page.locator(selector).allInnerTexts();
const column = (page, name) => texts(page, `td[data-label="${name}"]`);
const total = async (page) => Number((await page.innerText(".pager p")).match(/of ([\d,]+)/)[1].replaceAll(",", ""));
const service = async (path, options = {}) => {
  const headers = { Authorization: `Bearer ${server.token}`, ...options.headers };
  const answer = await fetch(new URL(`odata/${path}`, server.url), { ...options, headers });
  assert.ok(answer.ok, `${path}: ${answer.status} ${answer.ok ? "" : await answer.clone().text()}`);
  return answer.status === 204 ? null : answer.json();
};
const euro = (value) => new Intl.NumberFormat("en-GB", { style: "currency", currency: "EUR" }).format(value);

test("nobody is let in without signing in, and signing out ends it", async () => {
  const page = await open("#/orders?status=Placed", { as: null, expected: [401, 404] });
  assert.match(page.url(), /\/-\/sign-in/);
  const shown = await page.innerText("main");
  for (const name of ["rosa.delacroix", "kai.palmer", "simon.novak", "edda.bisset", PASSWORD, "Demonstration"]) assert.ok(shown.includes(name), `${name} is shown`);
  await signIn(page, "rosa.delacroix");
  await settled(page);
  assert.match(page.url(), /#\/orders\?status=Placed$/, "back to where the page was");
  assert.equal(await page.innerText("#person-name"), "Rosa Delacroix");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(/\/-\/sign-out/);
  await page.goto(`${server.url}#/orders`);
  await page.waitForURL(/\/-\/sign-in/);
});

test("each role sees its own part", async () => {
  const menu = (page) => page.locator(".main-menu a:visible").allInnerTexts();
  const { value: all } = await service("Customers?$count=true&$top=1&$filter=Region/Code eq 'CENTRAL'");
  assert.equal(all.length, 1);
  const sales = await open("#/customers", { as: "rosa.delacroix" });
  await settled(sales);
  assert.deepEqual(await menu(sales), ["Overview", "Orders", "Customers", "Products"]);
  const regions = new Set(await column(sales, "Region"));
  assert.deepEqual([...regions], ["Germany, Austria, Switzerland"], "one region only");

  const shipping = await open("#/orders", { as: "simon.novak" });
  await settled(shipping);
  assert.deepEqual(await column(shipping, "Total"), [], "no sums");
  assert.equal(await shipping.getByRole("link", { name: "New order" }).count(), 0);
  await shipping.locator("tbody tr a").first().click();
  await shipping.waitForSelector("table.lines");
  assert.ok(!(await shipping.innerText("main")).includes("€"), "no prices");

  const purchasing = await open("#/products", { as: "kai.palmer" });
  await settled(purchasing);
  assert.deepEqual(await menu(purchasing), ["Overview", "Orders", "Products"]);
  assert.ok((await column(purchasing, "Cost")).length > 0);
  await purchasing.evaluate(() => { location.hash = "#/customers"; });
  await purchasing.waitForFunction(() => document.title.startsWith("Not shown"));
  const sellers = await open("#/products", { as: "rosa.delacroix" });
  await settled(sellers);
  assert.deepEqual(await column(sellers, "Cost"), [], "what goods cost is not for everybody");
});

test("the overview draws sales by month that agree with the orders", async () => {
  const page = await open("#/");
  await page.waitForSelector(".chart .column");
  assert.equal(await page.locator(".chart .month").count(), 12);
  await page.getByRole("link", { name: "Three years" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".chart .month").length === 36);
  assert.match(page.url(), /span=3/);

  const october = await page.locator(".chart .month").last().getAttribute("aria-label");
  const rows = [];
  let next = `Orders?$select=PlacedAt,Total&$filter=PlacedAt ge 2026-10-01T00:00:00Z and PlacedAt lt 2026-11-01T00:00:00Z and Status ne 'Cancelled'`;
  while (next) {
    const answer = await service(next);
    rows.push(...answer.value);
    next = answer["@odata.nextLink"];
  }
  const sum = rows.reduce((cents, row) => cents + Math.round(row.Total * 100), 0) / 100;
  assert.ok(rows.length > 100);
  assert.equal(october, `October 2026: ${new Intl.NumberFormat("en-GB", { style: "currency", currency: "EUR", maximumFractionDigits: 0 }).format(sum)}, ${rows.length} orders`);

  await page.locator(".chart .month").last().click();
  await settled(page);
  assert.match(page.url(), /from=2026-10-01&to=2026-10-31/);
  assert.ok((await total(page)) >= rows.length);
});

test("orders are listed, paged, sorted, searched and filtered, and the address keeps it all", async () => {
  const page = await open("#/orders");
  await settled(page);
  const all = await total(page);
  assert.ok(all >= 10_000);
  assert.equal((await column(page, "Number")).length, 25);
  const first = await column(page, "Number");

  await page.getByRole("link", { name: "Next" }).click();
  await page.waitForFunction(() => document.querySelector(".pager p")?.innerText.startsWith("26–50"));
  const second = await column(page, "Number");
  assert.equal(new Set([...first, ...second]).size, 50, "no order is on both pages");
  await page.goBack();
  await page.waitForFunction(() => document.querySelector(".pager p")?.innerText.startsWith("1–25"));
  assert.deepEqual(await column(page, "Number"), first);

  await page.click('[data-sort="total"]');
  await page.waitForSelector('th[aria-sort="descending"] [data-sort="total"]');
  await settled(page);
  const sums = (await column(page, "Total")).map((text) => Number(text.replace(/[€,]/g, "")));
  assert.deepEqual(sums, [...sums].sort((a, b) => b - a));
  assert.equal(await page.evaluate(() => document.activeElement.dataset.sort), "total", "the button keeps the focus");

  await page.selectOption("label:has-text('Status') + select", "Cancelled");
  await page.waitForFunction(() => [...document.querySelectorAll('td[data-label="Status"]')].every((cell) => cell.innerText === "Cancelled"));
  assert.ok((await total(page)) < all);

  await page.keyboard.press("/");
  await page.keyboard.type("MILL");
  await page.waitForFunction(() => location.hash.includes("q=MILL"));
  await page.waitForFunction(() => [...document.querySelectorAll('td[data-label="Customer"]')].every((cell) => /mill/i.test(cell.innerText)));
  const address = page.url();
  const shown = await column(page, "Number");
  assert.ok(shown.length > 0);
  const again = await open(address.slice(address.indexOf("#")));
  await settled(again);
  assert.deepEqual(await column(again, "Number"), shown, "the address alone gives the same list");
  assert.equal(await again.inputValue("input[type=search]"), "MILL");

  await again.fill("input[type=search]", "no such '); thing% exists");
  await again.waitForSelector(".empty");
  await again.getByRole("button", { name: "Clear all" }).click();
  await again.waitForSelector(".pager");
  assert.equal(await total(again), all);
});

test("an order is found by its number and shown with its lines", async () => {
  const { value: [row] } = await service("Orders?$top=1&$filter=Status eq 'Delivered' and Total gt 1000&$orderby=PlacedAt desc&$expand=Customer,Lines($expand=Product;$orderby=Position)");
  const page = await open("#/orders");
  await settled(page);
  await page.fill("input[type=search]", String(row.Number));
  await page.waitForFunction((number) => [...document.querySelectorAll('td[data-label="Number"]')].some((cell) => cell.innerText === number), String(row.Number));
  await page.getByRole("link", { name: String(row.Number), exact: true }).click();
  await page.waitForSelector("table.lines");
  assert.equal(await page.innerText("h1"), `Order ${row.Number}`);
  assert.equal(await page.title(), `Order ${row.Number} · Wholesale`);
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1", "the heading has the focus");
  const products = await texts(page, "table.lines .strong");
  assert.deepEqual(products, row.Lines.map((line) => line.Product.Name));
  assert.equal(await page.innerText("table.lines tfoot td"), euro(row.Total));
  await page.getByRole("link", { name: row.Customer.Name }).click();
  await page.waitForFunction((name) => document.querySelector("h1")?.innerText === name, row.Customer.Name);
});

test("a customer is made after the service's faults are put right, then changed", async () => {
  const page = await open("#/customers/new", { expected: [400] });
  assert.equal(await page.evaluate(() => document.activeElement.name), "Name");
  await page.fill("[name=Email]", "not an address");
  await page.fill("[name=Credit]", "-5");
  await page.fill("[name=Country]", "Germany");
  await page.getByRole("button", { name: "Save customer" }).click();
  await page.waitForSelector(".summary:not([hidden])");
  for (const name of ["Name", "Region", "Email", "Credit", "City", "Country"]) {
    assert.equal(await page.getAttribute(`[name=${name}]`, "aria-invalid"), "true", `${name} is marked`);
    assert.notEqual(await page.locator(`.field:has([name=${name}]) .fault`).innerText(), "", `${name} says why`);
  }
  assert.equal(await page.getAttribute("[name=Phone]", "aria-invalid"), null);
  assert.equal(await page.evaluate(() => document.activeElement.className), "summary");

  const name = `Test Kitchen O'Hara ${Date.now()}`;
  await page.fill("[name=Name]", name);
  await page.selectOption("[name=Region]", "ISLES");
  await page.fill("[name=Email]", `kitchen${Date.now()}@example.com`);
  await page.fill("[name=Credit]", "1500.50");
  await page.fill("[name=City]", "Galway");
  await page.fill("[name=Country]", "IE");
  await page.fill("[name=DeliverFrom]", "07:30");
  await page.getByRole("button", { name: "Save customer" }).click();
  await page.waitForFunction((title) => document.querySelector("h1")?.innerText === title, name);
  assert.match(await page.innerText("main"), /€1,501|€1,500/);
  assert.match(await page.innerText("main"), /07:30/);

  await page.getByRole("link", { name: "Edit" }).click();
  await page.fill("[name=Notes]", "Never saved.");
  await page.getByRole("link", { name: "Orders", exact: true }).click();
  await page.getByRole("button", { name: "Stay" }).click();
  assert.equal(await page.inputValue("[name=Notes]"), "Never saved.");
  await page.getByRole("link", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Leave" }).click();
  await page.waitForFunction((title) => document.querySelector("h1")?.innerText === title, name);
  assert.ok(!(await page.innerText("main")).includes("Never saved."));

  await page.getByRole("link", { name: "Edit" }).click();
  await page.waitForSelector("[name=Notes]");
  assert.equal(await page.inputValue("[name=Name]"), name);
  await page.fill("[name=Notes]", "Rings the bell twice.");
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.waitForFunction(() => document.querySelector("main").innerText.includes("Rings the bell twice."));

  await page.getByRole("button", { name: "Delete" }).click();
  await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
  await page.waitForFunction(() => document.querySelector("h1")?.innerText === "Customers");
  const { value } = await service(`Customers?$filter=Name eq '${name.replaceAll("'", "''")}'`);
  assert.deepEqual(value, []);
});

test("an order is made with the keyboard, changed, placed and cancelled", async () => {
  const page = await open("#/orders/new", { expected: [400] });
  await page.getByRole("button", { name: "Save order" }).click();
  await page.waitForSelector(".summary:not([hidden])");
  assert.match(await page.innerText(".summary"), /Customer/);
  assert.match(await page.innerText(".summary"), /Line 1/);
  assert.equal(await page.getAttribute("[name=Customer]", "aria-invalid"), "true");

  const pick = async (name, words, index = 0) => {
    const field = page.locator(`[name=${name}]`).nth(index);
    await field.fill(words);
    await page.waitForFunction(([control, text]) => {
      const options = [...document.querySelectorAll(`#${control}-list [role=option]`)];
      return options.length > 0 && options.every((option) => option.innerText.toLowerCase().includes(text.toLowerCase()));
    }, [await field.getAttribute("id"), words]);
    await field.press("ArrowDown");
    await page.waitForSelector(`#${await field.getAttribute("id")}-list [aria-selected=true]`);
    await field.press("Enter");
    assert.notEqual(await field.inputValue(), words);
  };
  await pick("Customer", "acorn");
  await page.selectOption("[name=Status]", "Draft");
  await pick("Product", "espresso");
  await page.fill("[name=Quantity]", "0");
  await page.getByRole("button", { name: "Save order" }).click();
  await page.waitForSelector(".line-row [aria-invalid]");
  assert.equal(await page.getAttribute("[name=Quantity]", "aria-invalid"), "true");
  await page.fill("[name=Quantity]", "12");
  await page.fill("[name=Discount]", "5");
  await page.getByRole("button", { name: "Add a line" }).click();
  await pick("Product", "tea", 1);
  await page.locator("[name=Quantity]").nth(1).fill("3");
  const sum = await page.innerText(".total");
  await page.getByRole("button", { name: "Save order" }).click();
  await page.waitForSelector("table.lines");
  assert.match(await page.innerText("h1"), /^Order \d+$/);
  assert.equal(await page.innerText("table.lines tfoot td"), sum);
  assert.equal(await page.locator("table.lines tbody tr").count(), 2);
  assert.equal(await page.locator(".head .status").innerText(), "Draft");

  await page.getByRole("link", { name: "Edit" }).click();
  await page.waitForSelector(".line-row");
  await page.locator(".line-row").nth(1).getByRole("button", { name: "Remove this line" }).click();
  await page.fill("[name=Reference]", "PO-1");
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.waitForFunction(() => document.querySelectorAll("table.lines tbody tr").length === 1);
  assert.match(await page.innerText("main"), /PO-1/);

  await page.getByRole("button", { name: "Place order" }).click();
  await page.waitForFunction(() => document.querySelector(".head .status")?.innerText === "Placed");
  await page.getByRole("button", { name: "Cancel order" }).click();
  await page.waitForFunction(() => document.querySelector(".head .status")?.innerText === "Cancelled");
  await page.getByRole("button", { name: "Delete" }).click();
  await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
  await page.waitForFunction(() => document.querySelector("h1")?.innerText === "Orders");
});

test("a change that somebody else overtook is not lost, and nothing is overwritten unasked", async () => {
  const { value: [row] } = await service("Customers?$top=1&$orderby=Number desc");
  const page = await open(`#/customers/${row.id}/edit`, { expected: [412] });
  await page.fill("[name=Contact]", "Mine");
  await service(`Customers(${row.id})`, { method: "PATCH", headers: { "Content-Type": "application/json", "If-Match": row["@odata.etag"] }, body: JSON.stringify({ Contact: "Theirs" }) });
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.waitForSelector(".differences");
  assert.match(await page.innerText(".summary"), /Somebody else has changed this customer/);
  assert.deepEqual((await texts(page, ".differences tbody tr")).map((line) => line.split(/\s*\t\s*/)), [["Contact", "Theirs", "Mine"]]);
  assert.equal((await service(`Customers(${row.id})`)).Contact, "Theirs");
  await page.getByRole("button", { name: "Save mine all the same" }).click();
  await page.waitForFunction((name) => document.querySelector("h1")?.innerText === name, row.Name);
  assert.equal((await service(`Customers(${row.id})`)).Contact, "Mine");
});

test("on a phone nothing overflows, rows are cards, and what is touched is large enough", async () => {
  for (const hash of ["#/", "#/orders", "#/customers", "#/orders/new", "#/customers/new"]) {
    const page = await open(hash, { viewport: PHONE, colorScheme: "dark" });
    await page.waitForFunction(() => !document.querySelector("[aria-busy]"));
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `${hash} is not wider than the screen`);
    const small = await page.evaluate(() => [...document.querySelectorAll("main .button, main button:not(.sort), main input:not([type=checkbox]), main select")].filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < 40).map((node) => node.outerHTML));
    assert.deepEqual(small, []);
  }
  const page = await open("#/orders", { viewport: PHONE });
  await settled(page);
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector("tbody tr")).display), "grid");
  await page.locator("tbody tr").first().click();
  await page.waitForFunction(() => /^Order \d+$/.test(document.querySelector("h1")?.innerText));
});

test("what cannot be had is said, with a way on", async () => {
  const page = await open("#/orders/00000000-0000-7000-8000-000000000000", { expected: [404] });
  assert.match(await page.innerText("main"), /Nothing here/);
  await page.evaluate(() => { location.hash = "#/nowhere"; });
  await page.waitForFunction(() => document.title.startsWith("Not shown"));

  await page.route("**/odata/Orders?*", (route) => route.abort());
  await page.evaluate(() => { location.hash = "#/orders"; });
  await page.waitForSelector(".results .failure");
  complaints.splice(0); // the browser logs the cut connection
  await page.unroute("**/odata/Orders?*");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.waitForSelector(".pager");
});
