// A collection as a table that can be searched, filtered, sorted and paged. Its state is in the address.

import { announce, debounce, element, failure, freshId, icon, icons } from "./dom.js";
import { plainNumber } from "./format.js";
import { ServiceError, page } from "./odata.js";
import { address, go } from "./router.js";
import { sees } from "./session.js";

const ROWS = 25;

/**
 * `definition`: path (of the address), collection, title, noun [one, many], action, searchLabel,
 * filters [{ name, label, kind: "choice"|"date", choices, needs }], columns [{ label, name, sort, numeric, cell, needs }]
 * (`needs`: the member that the reader must see; a column's is its `sort`),
 * sort (the order at first: { name, descending }), select, expand, filter(parameters) → $filter.
 */
export function listView(whole, parameters) {
  // Columns and filters by what the reader does not see would be refused.
  const isSeen = ({ needs, sort }) => sees(whole.collection, needs ?? sort ?? "");
  if (!sees(whole.collection)) throw new ServiceError({ status: 404, message: "" });
  const definition = { ...whole, columns: whole.columns.filter(isSeen), filters: whole.filters.filter(isSeen) };
  const results = element("div", { class: "results" });
  const search = element("input", {
    type: "search", id: freshId("search"), value: parameters.q ?? "", placeholder: definition.searchLabel, autocomplete: "off", spellcheck: "false",
    "aria-label": definition.searchLabel,
  });
  const controls = definition.filters.map((filter) => control(filter));
  const clear = element("button", { type: "button", class: "quiet", onclick: () => change({ q: null, ...Object.fromEntries(definition.filters.map(({ name }) => [name, null])) }) }, "Clear all");
  let state = parameters;
  let pending = null;

  const change = (changes, options) => go(address(definition.path, { ...state, page: null, ...changes }), options);
  const searchNow = debounce(() => {
    if ((state.q ?? "") !== search.value.trim()) change({ q: search.value.trim() }, { replace: true });
  }, 200);
  search.addEventListener("input", searchNow);
  search.addEventListener("search", searchNow);

  function control(filter) {
    const id = freshId("filter");
    const input = filter.kind === "date"
      ? element("input", { type: "date", id })
      : element("select", { id }, element("option", { value: "" }, "All"), Object.entries(filter.choices).map(([value, label]) => element("option", { value }, label)));
    input.addEventListener("change", () => change({ [filter.name]: input.value }));
    return { ...filter, input, node: element("div", { class: "filter" }, element("label", { for: id }, filter.label), input) };
  }

  function showState() {
    if (document.activeElement !== search) search.value = state.q ?? "";
    for (const { name, input } of controls) input.value = state[name] ?? "";
    clear.hidden = !(state.q || definition.filters.some(({ name }) => state[name]));
  }

  async function load() {
    pending?.abort();
    const current = (pending = new AbortController());
    const number = Math.max(1, Math.trunc(Number(state.page)) || 1);
    const column = definition.columns.find(({ name, sort }) => sort && name === state.sort);
    const order = column ? { by: column.sort, descending: state.dir === "desc" } : { by: definition.columns.find(({ name }) => name === definition.sort.name).sort, descending: definition.sort.descending };
    results.setAttribute("aria-busy", "true");
    if (!results.hasChildNodes()) results.append(skeleton(definition.columns.length));
    try {
      const { rows, count } = await page(definition.collection, {
        select: definition.select, expand: definition.expand, filter: definition.filter(state),
        orderby: `${order.by}${order.descending ? " desc" : ""}`, top: ROWS, skip: (number - 1) * ROWS || null,
      }, { signal: current.signal });
      if (rows.length === 0 && count > 0) {
        change({ page: null }, { replace: true }); // beyond the last page: rows were deleted, or the address is made up
        return;
      }
      show(rows, count, number);
    } catch (error) {
      if (error.name === "AbortError") return;
      results.replaceChildren(failure(error, load));
    }
    results.removeAttribute("aria-busy");
  }

  function show(rows, count, number) {
    if (rows.length === 0) {
      const isFiltered = !clear.hidden;
      results.replaceChildren(element("div", { class: "empty" },
        element("h2", {}, isFiltered ? `No ${definition.noun[1]} match` : `No ${definition.noun[1]} yet`),
        element("p", {}, isFiltered ? "Try other words, or fewer filters." : "The first one is a click away.")));
      announce(`No ${definition.noun[1]} found`);
      return;
    }
    const first = (number - 1) * ROWS + 1;
    const last = first + rows.length - 1;
    results.replaceChildren(table(definition, rows, state, change), pager({ first, last, count, number, noun: definition.noun, to: (to) => address(definition.path, { ...state, page: to === 1 ? null : to }) }));
    announce(`${plainNumber(count)} ${definition.noun[count === 1 ? 0 : 1]}, showing ${plainNumber(first)} to ${plainNumber(last)}`);
  }

  showState();
  load();
  return {
    title: definition.title,
    section: definition.path,
    node: [
      element("div", { class: "head" }, element("h1", { tabindex: "-1" }, definition.title), definition.action && element("a", { class: "button", href: address(definition.action.path) }, icon(icons.plus), definition.action.label)),
      element("form", { class: "toolbar", role: "search", onsubmit: (event) => { event.preventDefault(); searchNow(); } },
        element("div", { class: "search" }, icon(icons.search), search), controls.map(({ node }) => node), clear),
      results,
    ],
    update(next) {
      const isPaging = next.page !== state.page;
      state = next;
      showState();
      load();
      if (isPaging && results.getBoundingClientRect().top < 0) results.scrollIntoView();
    },
    leave: () => pending?.abort(),
  };
}

function table({ columns, title, sort }, rows, state, change) {
  const by = columns.some(({ name, sort: key }) => key && name === state.sort) ? state.sort : sort.name;
  const isDescending = by === state.sort ? state.dir === "desc" : sort.descending;
  const heading = (column) => {
    const isSorted = column.name === by;
    const properties = { scope: "col", role: "columnheader", class: column.numeric ? "numeric" : null, "aria-sort": isSorted ? (isDescending ? "descending" : "ascending") : null };
    if (!column.sort) return element("th", properties, column.label);
    const button = element("button", {
      type: "button", class: "sort", "data-sort": column.name,
      onclick: () => {
        const next = isSorted ? !isDescending : Boolean(column.descendingFirst);
        change({ sort: column.name, dir: next ? "desc" : null });
        keepFocus(column.name);
      },
    }, column.label, element("span", { class: "arrow", "aria-hidden": "true" }, isSorted ? (isDescending ? "↓" : "↑") : ""));
    return element("th", properties, button);
  };
  // The roles keep it a table for screen readers when the style sheet shows it as cards on a phone.
  return element("div", { class: "sheet" }, element("table", { role: "table", class: "cards" },
    element("caption", { class: "visually-hidden" }, title),
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, columns.map(heading))),
    element("tbody", { role: "rowgroup" }, rows.map((row) => element("tr", { role: "row" }, columns.map((column) => element("td", { role: "cell", class: [column.numeric && "numeric", column.role].filter(Boolean).join(" ") || null, "data-label": column.label }, column.cell(row))))))));
}

/** The table is made anew after a change of order; the button that was pressed keeps the focus. */
function keepFocus(name) {
  const observer = new MutationObserver(() => {
    const button = document.querySelector(`[data-sort="${CSS.escape(name)}"]`);
    if (button?.isConnected) {
      button.focus({ preventScroll: true });
      observer.disconnect();
    }
  });
  observer.observe(document.getElementById("content"), { childList: true, subtree: true });
  setTimeout(() => observer.disconnect(), 5000);
}

function pager({ first, last, count, number, noun, to }) {
  const pages = Math.ceil(count / ROWS);
  const step = (label, target, sign, relation) => (target >= 1 && target <= pages
    ? element("a", { class: "button plain", href: to(target), rel: relation }, relation === "prev" && icon(sign), label, relation === "next" && icon(sign))
    : element("span", { class: "button plain off", "aria-disabled": "true" }, relation === "prev" && icon(sign), label, relation === "next" && icon(sign)));
  return element("nav", { class: "pager", "aria-label": "Pages" },
    element("p", {}, `${plainNumber(first)}–${plainNumber(last)} of ${plainNumber(count)} ${noun[count === 1 ? 0 : 1]}`),
    element("div", { class: "steps" }, step("Previous", number - 1, icons.back, "prev"), element("span", { class: "fine" }, `Page ${plainNumber(number)} of ${plainNumber(pages)}`), step("Next", number + 1, icons.forward, "next")));
}

export function skeleton(columns, rows = 8) {
  return element("div", { class: "sheet skeleton", "aria-hidden": "true" }, Array.from({ length: rows }, () => element("div", {}, Array.from({ length: columns }, () => element("span")))));
}
