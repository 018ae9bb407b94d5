// Making elements without a framework. Text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Properties: `class`, `on…` listeners, `dataset`, booleans as present or absent
 * attributes, everything else as an attribute. Children: nodes, text, lists, nothing.
 */
export function element(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name === "value" || name === "checked") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(node, child);
    else if (child !== null && child !== undefined && child !== false) node.append(child);
  }
}

/** A small drawn sign beside a word; hidden from screen readers. */
export function icon(path) {
  return svg("svg", { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true", focusable: "false" }, svg("path", { d: path }));
}

export const icons = {
  plus: "M10 4v12M4 10h12",
  back: "M12 4 6 10l6 6",
  forward: "m8 4 6 6-6 6",
  search: "M8.75 14.5a5.75 5.75 0 1 0 0-11.5 5.75 5.75 0 0 0 0 11.5zM13 13l4 4",
  close: "m5 5 10 10M15 5 5 15",
};

let serial = 0;
/** An id that no other element of the page has. */
export const freshId = (prefix) => `${prefix}-${(serial += 1)}`;

/** Says something to screen readers. */
export function announce(words) {
  document.getElementById("announcer").textContent = words;
}

/** Shows a short notice that goes by itself. */
export function notify(words) {
  const notice = element("p", { class: "notice" }, words);
  document.getElementById("notices").replaceChildren(notice);
  setTimeout(() => notice.remove(), 6000);
}

/** Calls `action` when `milliseconds` have passed since the last call. */
export function debounce(action, milliseconds) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}

/** Asks before something that cannot be undone. */
export function confirmed({ title, words, action, otherwise = "Keep it" }) {
  return new Promise((resolve) => {
    const heading = freshId("dialog");
    const dialog = element("dialog", { class: "dialog", "aria-labelledby": heading, onclose: () => { resolve(dialog.returnValue === "yes"); dialog.remove(); } },
      element("form", { method: "dialog" },
        element("h2", { id: heading }, title),
        element("p", {}, words),
        element("div", { class: "actions" },
          element("button", { value: "no", class: "plain" }, otherwise),
          element("button", { value: "yes", class: "danger" }, action))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** What stands in the place of content that could not be had. */
export function failure(error, again, heading = "h2") {
  return element("div", { class: "failure", role: "alert" },
    element(heading, { tabindex: "-1" }, error.status === 404 ? "Nothing here" : "That did not work"),
    element("p", {}, error.status === 404 ? "It may have been deleted, or the address is wrong." : error.message),
    (error.code || error.requestId) && error.status !== 404 && element("p", { class: "fine" }, [error.code && `Code ${error.code}`, error.requestId && `request ${error.requestId}`].filter(Boolean).join(", ")),
    again && element("button", { type: "button", class: "plain", onclick: again }, "Try again"));
}
