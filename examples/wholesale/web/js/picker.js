// A field that finds a row of a collection while one types (the ARIA pattern "combobox with listbox").

import { debounce, element, freshId } from "./dom.js";

/**
 * `find(words, signal)` → rows; `option(row)` → [text, more]; `chosen(row)` is told of the choice.
 * Returns { name, label, node, control, value, choose(row), fault(message) }.
 */
export function picker({ name, label, find, option, chosen = () => {}, placeholder = "", hideLabel = false, autofocus = false }) {
  const id = freshId("picker");
  const list = element("ul", { class: "options", id: `${id}-list`, role: "listbox", "aria-label": label, hidden: true });
  const fault = element("p", { class: "fault", id: `${id}-fault`, hidden: true });
  const control = element("input", {
    id, name, type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", placeholder, autofocus,
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": `${id}-list`, "aria-describedby": `${id}-fault`,
  });
  const node = element("div", { class: "field picker" }, element("label", { for: id, class: hideLabel ? "visually-hidden" : null }, label), element("div", { class: "picker-box" }, control, list), fault);
  let rows = [];
  let active = -1;
  let pending = null;
  let isStale = false; // what is listed belongs to other words than those typed
  let wantedMove = 0; // arrow pressed while stale
  const self = { name, label, node, control, value: null, choose, fault: setFault };

  const search = debounce(async () => {
    pending?.abort();
    const current = (pending = new AbortController());
    try {
      rows = await find(control.value.trim(), current.signal);
      if (document.activeElement === control) open();
    } catch (error) {
      if (error.name === "AbortError") return; // overtaken by other words
      rows = [];
      isStale = false;
      show([element("li", { class: "fine" }, error.message)]);
    }
  }, 150);

  function open() {
    active = -1;
    isStale = false;
    show(rows.length === 0
      ? [element("li", { class: "fine" }, "Nothing found")]
      : rows.map((row, index) => {
        const [words, more] = option(row);
        return element("li", { role: "option", id: `${id}-${index}`, "aria-selected": "false", onmousedown: (event) => { event.preventDefault(); choose(row); close(); } }, element("span", {}, words), element("span", { class: "fine" }, more));
      }));
    if (wantedMove !== 0) move(wantedMove);
    wantedMove = 0;
  }

  function show(items) {
    list.replaceChildren(...items);
    list.hidden = false;
    control.setAttribute("aria-expanded", "true");
  }

  function close() {
    list.hidden = true;
    control.setAttribute("aria-expanded", "false");
    control.removeAttribute("aria-activedescendant");
  }

  function move(step) {
    if (list.hidden || isStale) {
      wantedMove = step;
      search();
      return;
    }
    if (rows.length === 0) return;
    active = active < 0 && step < 0 ? rows.length - 1 : (active + step + rows.length) % rows.length;
    [...list.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === active)));
    list.children[active].scrollIntoView({ block: "nearest" });
    control.setAttribute("aria-activedescendant", `${id}-${active}`);
  }

  function choose(row) {
    self.value = row;
    control.value = row ? option(row)[0] : "";
    setFault(null);
    if (row) chosen(row);
  }

  function setFault(message) {
    fault.textContent = message ?? "";
    fault.hidden = !message;
    if (message) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }

  control.addEventListener("input", () => {
    self.value = null;
    isStale = true;
    search();
  });
  control.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter" && (!list.hidden || isStale)) {
      event.preventDefault(); // an open list takes the key, or the form would be sent half filled
      if (isStale || active < 0) return;
      choose(rows[active]);
      close();
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    }
  });
  control.addEventListener("focus", () => {
    if (!self.value) search();
  });
  control.addEventListener("blur", () => {
    pending?.abort();
    close();
    if (!self.value && !isStale && rows.length === 1 && control.value.trim()) choose(rows[0]); // there was no doubt
  });
  return self;
}
