// Who is signed in, and what the access rules show them: the description of the service differs from reader to reader.

const HERE = () => location.pathname + location.search + location.hash;

/** Goes to the sign-in page, and comes back here. */
export function signIn() {
  location.assign(`/-/sign-in?return=${encodeURIComponent(HERE())}`);
  return new Promise(() => {}); // the page is left: nothing after it happens
}

async function json(address) {
  const response = await fetch(address, { headers: { Accept: "application/json" } });
  if (response.status === 401) return signIn();
  if (!response.ok) throw new Error(`${address} answered ${response.status}`);
  return response.json();
}

let types = {};
let sets = {};
let person = null;

/** Reads both, before anything else is read. */
export async function begin() {
  const [session, metadata] = await Promise.all([json("/-/session"), json("/odata/$metadata")]);
  person = session;
  types = {};
  sets = {};
  for (const [namespace, schema] of Object.entries(metadata)) {
    if (namespace.startsWith("$")) continue;
    for (const [name, item] of Object.entries(schema)) {
      if (item?.$Kind === "EntityType") types[`${namespace}.${name}`] = item;
      if (item?.$Kind === "EntityContainer") {
        for (const [set, { $Collection, $Type }] of Object.entries(item)) if ($Collection) sets[set] = $Type;
      }
    }
  }
  return person;
}

export const signedIn = () => person;

/** The member of a type or of one of its bases. */
function member(type, name) {
  for (let current = types[type]; current; current = types[current.$BaseType]) {
    if (Object.hasOwn(current, name)) return current[name];
  }
  return null;
}

/** Type at the end of a path such as `Customers(…)/Orders`; nothing where the reader does not see it. */
function typeAt(path) {
  const [first, ...rest] = path.replace(/\?.*$/, "").split("/").map((segment) => segment.replace(/\(.*\)$/, ""));
  let type = sets[first];
  for (const name of rest) {
    if (name.startsWith("$")) break;
    type = member(type, name)?.$Type;
  }
  return type;
}

/** Whether the reader sees a member, or a path of them: `sees("Orders", "Customer/Name")`. Without one: the collection. */
export function sees(collection, path = "") {
  let type = typeAt(collection);
  if (!type || !types[type]) return false;
  for (const name of path.split("/").filter(Boolean)) {
    const found = type && member(type, name);
    if (!found) return false;
    type = found.$Type;
  }
  return true;
}

/** `$select` and `$expand` without what the reader does not see. */
export function visible(path, options = {}) {
  const type = typeAt(path);
  return type ? limited(type, options) : options;
}

function limited(type, options) {
  const result = { ...options };
  if (options.select) result.select = options.select.split(",").filter((name) => member(type, name)).join(",");
  if (options.expand) result.expand = parts(options.expand, ",").map((item) => expanded(type, item)).filter(Boolean).join(",");
  return result;
}

/** `Lines($orderby=Position;$expand=Product($select=Sku,Name))` */
function expanded(type, item) {
  const [, name, inner = ""] = /^(\w+)(?:\((.*)\))?$/s.exec(item) ?? [];
  const found = name && member(type, name);
  if (!found) return null;
  const options = Object.fromEntries(parts(inner, ";").filter(Boolean).map((option) => {
    const at = option.indexOf("=");
    return [option.slice(1, at), option.slice(at + 1)];
  }));
  const rest = limited(found.$Type, options);
  if (options.orderby && !options.orderby.split(",").every((term) => member(found.$Type, term.split(" ")[0]))) delete rest.orderby;
  const words = Object.entries(rest).filter(([, value]) => value).map(([key, value]) => `$${key}=${value}`).join(";");
  return words ? `${name}(${words})` : name;
}

/** Splits where no parenthesis is open. */
function parts(text, separator) {
  const result = [""];
  let depth = 0;
  for (const character of text) {
    if (character === "(") depth += 1;
    if (character === ")") depth -= 1;
    if (character === separator && depth === 0) result.push("");
    else result[result.length - 1] += character;
  }
  return result;
}
