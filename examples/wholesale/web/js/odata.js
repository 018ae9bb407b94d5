// The data service: requests, pages, versions, errors. Knows nothing of what is on the page.

import { signIn, visible } from "./session.js";

const BASE = new URL("/odata/", location.href);

/** What the service (or the way to it) answered instead of what was asked for. */
export class ServiceError extends Error {
  constructor({ status = 0, code = "", message, target = null, details = [], requestId = null, retryAfter = null }) {
    super(message);
    this.name = "ServiceError";
    Object.assign(this, { status, code, target, details, requestId, retryAfter });
  }

  /** Somebody else changed the row since it was read. */
  get isConflict() {
    return this.status === 412;
  }

  /** Faults by member: [[target, message], …]; a fault without a target has "". */
  get faults() {
    const list = this.details.length ? this.details : [this];
    return list.map(({ target, message }) => [target ?? "", message]);
  }
}

/** Path and options as a relative URL; options without a value are left out. */
export function url(path, options = {}) {
  const query = Object.entries(options)
    .filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([name, value]) => `$${name}=${encodeURIComponent(value).replaceAll("%2C", ",").replaceAll("%24", "$")}`)
    .join("&");
  return query ? `${path}?${query}` : path;
}

/** Text as a literal. */
export const text = (value) => `'${String(value).replaceAll("'", "''")}'`;

/** One row, one page, or whatever is at the address. */
export const get = (path, options, { signal } = {}) => send("GET", url(path, visible(path, options)), { signal });

/** One page of a collection and the number of all its rows. */
export async function page(path, options, { signal } = {}) {
  const answer = await send("GET", url(path, { ...visible(path, options), count: true }), { signal });
  return { rows: answer.value, count: Number(answer["@odata.count"]) };
}

/** How many rows there are. */
export async function count(path, filter, { signal } = {}) {
  return Number(await send("GET", url(`${path}/$count`, { filter }), { signal }));
}

/** All rows, page after page, as the service hands them out. */
export async function* pages(path, options, { signal } = {}) {
  let next = url(path, visible(path, options));
  while (next) {
    const answer = await send("GET", next, { signal });
    yield answer.value;
    const link = answer["@odata.nextLink"];
    if (!link) return;
    // Same service, whatever name a proxy gives it: only path and query count.
    const { pathname, search } = new URL(link, BASE);
    next = pathname + search;
  }
}

export const create = (collection, row) => send("POST", collection, { body: row });
export const update = (path, changes, etag) => send("PATCH", path, { body: changes, etag });
export const remove = (path, etag) => send("DELETE", path, { etag });

async function send(method, address, { body, etag, signal } = {}) {
  const headers = { Accept: "application/json", "OData-MaxVersion": "4.0" };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    headers.Prefer = "return=representation";
  }
  if (etag) headers["If-Match"] = etag;
  let response;
  let content;
  try {
    response = await fetch(new URL(address, BASE), { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
    content = response.status === 204 ? "" : await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError({ code: "unreachable", message: "The server cannot be reached. Check the connection and try again." });
  }
  if (response.status === 401) return signIn(); // the session has ended, or somebody has signed out elsewhere
  const isJson = /^application\/json/i.test(response.headers.get("Content-Type") ?? "");
  let answer = null;
  if (content) {
    try {
      answer = isJson ? JSON.parse(content) : content;
    } catch {
      throw new ServiceError({ status: response.status, code: "unreadable", message: "The server’s answer cannot be read." });
    }
  }
  if (response.ok) return answer;
  const error = (isJson && answer?.error) || {};
  throw new ServiceError({
    status: response.status,
    code: error.code ?? String(response.status),
    message: error.message ?? `The server answered ${response.status} ${response.statusText}`.trim(),
    target: error.target,
    details: error.details ?? [],
    requestId: response.headers.get("X-Request-ID"),
    retryAfter: response.headers.get("Retry-After"),
  });
}
