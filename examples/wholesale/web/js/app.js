// Which view is at which address, and the change from one to the next.

import { confirmed, element, failure } from "./dom.js";
import { read } from "./router.js";
import { ServiceError } from "./odata.js";
import { begin, sees } from "./session.js";

// A view is { title, section, node, update?(parameters), leave?(), isChanged?() }. Its module is loaded when it is first needed.
const routes = [
  [[], async () => (await import("./overview.js")).overview],
  [["orders"], async () => (await import("./orders.js")).orderList],
  [["orders", "new"], async () => (await import("./order-form.js")).newOrder],
  [["orders", ":id"], async () => (await import("./orders.js")).order],
  [["orders", ":id", "edit"], async () => (await import("./order-form.js")).editOrder],
  [["customers"], async () => (await import("./customers.js")).customerList],
  [["customers", "new"], async () => (await import("./customers.js")).newCustomer],
  [["customers", ":id"], async () => (await import("./customers.js")).customer],
  [["customers", ":id", "edit"], async () => (await import("./customers.js")).editCustomer],
  [["products"], async () => (await import("./products.js")).productList],
];

const main = document.getElementById("content");
let shown = null;
let wanted = 0;

function match(path) {
  for (const [pattern, load] of routes) {
    if (pattern.length !== path.length) continue;
    if (pattern.every((part, index) => part.startsWith(":") || part === path[index])) {
      return { load, id: path[pattern.indexOf(":id")] };
    }
  }
  return null;
}

async function show() {
  if (location.hash === "#content") return; // the skip link
  const { path, parameters } = read();
  const key = path.join("/");
  if (shown?.key === key && shown.view.update) {
    shown.view.update(parameters);
    return;
  }
  if (shown?.view.isChanged?.() && shown.address !== location.hash) {
    const target = location.hash;
    history.replaceState(null, "", shown.address);
    if (!(await confirmed({ title: "Leave without saving?", words: "What you have entered is lost.", action: "Leave", otherwise: "Stay" }))) return;
    shown.view.leave();
    location.hash = target;
    return;
  }
  const turn = (wanted += 1);
  const busy = setTimeout(() => main.setAttribute("aria-busy", "true"), 120);
  let view;
  try {
    const found = match(path);
    if (!found) throw new ServiceError({ status: 404, message: "" });
    const make = await found.load();
    view = await make({ id: found.id, parameters });
  } catch (error) {
    const isKnown = error instanceof ServiceError;
    if (!isKnown) console.error(error);
    view = {
      title: "Not shown",
      section: path[0] ?? "overview",
      node: failure(isKnown ? error : { message: "This part of the page could not be loaded." }, show, "h1"),
    };
  } finally {
    clearTimeout(busy);
  }
  if (turn !== wanted) return; // the user has gone on
  shown?.view.leave?.();
  const isFirst = shown === null;
  shown = { key, view, address: location.hash };
  main.removeAttribute("aria-busy");
  main.replaceChildren(element("div", { class: "view" }, view.node));
  document.title = view.title === "Overview" ? "Wholesale" : `${view.title} · Wholesale`;
  for (const link of document.querySelectorAll("[data-section]")) {
    if (link.dataset.section === view.section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!isFirst) {
    scrollTo(0, 0);
    (main.querySelector("[autofocus]") ?? main.querySelector("h1") ?? main).focus({ preventScroll: true });
  }
}

addEventListener("hashchange", show);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const search = document.querySelector("input[type=search]");
  if (search) {
    event.preventDefault();
    search.focus();
  }
});

/** Who is here, and the parts of the page that have something for them. */
async function start() {
  try {
    const person = await begin();
    const collections = { orders: "Orders", customers: "Customers", products: "Products" };
    for (const [section, collection] of Object.entries(collections)) document.querySelector(`[data-section=${section}]`).hidden = !sees(collection);
    if (person.name) {
      const name = document.getElementById("person-name");
      name.textContent = person.fullName || person.name;
      name.title = person.roles.join(", ");
      document.getElementById("person").hidden = false;
    }
  } catch (error) {
    console.error(error);
    main.replaceChildren(failure({ message: "The server cannot be reached. Check the connection and try again." }, start, "h1"));
    return;
  }
  show();
}
start();
