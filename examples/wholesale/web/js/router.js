// The part of the address after # is the state of the page: #/orders?status=Placed&page=2

/** Path segments and parameters of the address. */
export function read() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  return {
    path: path.split("/").filter(Boolean).map((segment) => {
      try {
        return decodeURIComponent(segment);
      } catch {
        return segment;
      }
    }),
    parameters: Object.fromEntries(new URLSearchParams(query)),
  };
}

/** An address; parameters without a value are left out. */
export function address(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== ""));
  const tail = query.toString();
  return `#/${path}${tail ? `?${tail}` : ""}`;
}

/** Goes to an address; `replace` leaves no step to go back to. */
export function go(target, { replace = false } = {}) {
  if (replace) {
    history.replaceState(null, "", target);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = target;
  }
}
