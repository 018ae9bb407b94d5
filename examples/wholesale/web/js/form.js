// Forms: fields, faults from the service beside the field that they are about, and conflicts.

import { element, freshId } from "./dom.js";

/**
 * A labelled control. `kind`: text (default), email, tel, decimal, integer, date, time, choice, check, long.
 * Returns { name, node, control, read(), write(value), fault(message) }.
 */
export function field({ name, label, kind = "text", hint, optional = false, choices, wide = false, autocomplete = "off", autofocus = false }) {
  const id = freshId("field");
  const describedBy = [];
  const note = hint && element("p", { class: "hint", id: `${id}-hint` }, hint);
  const fault = element("p", { class: "fault", id: `${id}-fault`, hidden: true });
  if (note) describedBy.push(`${id}-hint`);
  describedBy.push(`${id}-fault`);
  const shared = { id, name, autocomplete, autofocus, "aria-describedby": describedBy.join(" ") };
  const control = {
    choice: () => element("select", shared, (optional ? [["", "None"]] : []).concat(Object.entries(choices ?? {})).map(([value, words]) => element("option", { value }, words))),
    check: () => element("input", { ...shared, type: "checkbox" }),
    long: () => element("textarea", { ...shared, rows: "3" }),
    decimal: () => element("input", { ...shared, type: "text", inputmode: "decimal", class: "numeric" }),
    integer: () => element("input", { ...shared, type: "text", inputmode: "numeric", class: "numeric" }),
  }[kind]?.() ?? element("input", { ...shared, type: kind });
  const words = element("label", { for: id }, label, optional && kind !== "check" && element("span", { class: "fine" }, " optional"));
  const node = element("div", { class: `field${wide ? " wide" : ""}${kind === "check" ? " check" : ""}` }, kind === "check" ? [control, words] : [words, control], note, fault);
  return {
    name, node, control, label,
    read() {
      if (kind === "check") return control.checked;
      const value = control.value.trim();
      if (value === "") return null;
      if (kind === "decimal" || kind === "integer") {
        const number = Number(value.replace(",", "."));
        return Number.isFinite(number) ? number : value; // the service says what is wrong with it
      }
      return kind === "time" && value.length === 5 ? `${value}:00` : value;
    },
    write(value) {
      if (kind === "check") control.checked = Boolean(value);
      else control.value = value === null || value === undefined ? "" : kind === "time" ? String(value).slice(0, 5) : String(value);
    },
    fault(message) {
      fault.textContent = message ?? "";
      fault.hidden = !message;
      if (message) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    },
  };
}

/**
 * A form. `groups`: [{ title?, fields?, node? }]; `targets()`: all things with `name` and `fault()`, by
 * default the fields; `submit()` sends and resolves, or throws a ServiceError.
 * `conflict(error)` makes what is shown when somebody else was faster.
 */
export function form({ groups, targets, submitLabel, cancelTo, submit, conflict }) {
  const fields = groups.flatMap((group) => group.fields ?? []);
  const all = targets ?? (() => fields);
  const summary = element("div", { class: "summary", tabindex: "-1", hidden: true, role: "alert" });
  const button = element("button", { type: "submit" }, submitLabel);
  let isChanged = false;

  const node = element("form", { class: "form", novalidate: true },
    summary,
    groups.map(({ title, fields: members, node: content }) => element("fieldset", { class: "card" }, title && element("legend", {}, title), members && element("div", { class: "fields" }, members.map((member) => member.node)), content)),
    element("div", { class: "actions end" }, element("a", { class: "button plain", href: cancelTo }, "Cancel"), button));
  node.addEventListener("input", () => { isChanged = true; });
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  const warn = (event) => {
    if (isChanged) event.preventDefault();
  };
  addEventListener("beforeunload", warn);

  async function send() {
    clearFaults();
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    try {
      isChanged = false;
      await submit();
    } catch (error) {
      isChanged = true;
      if (error.isConflict && conflict) showSummary(await conflict(error, send));
      else showFaults(error);
    } finally {
      button.disabled = false;
      button.removeAttribute("aria-busy");
    }
  }

  function clearFaults() {
    summary.hidden = true;
    for (const target of all()) target.fault(null);
  }

  function showFaults(error) {
    if (!error.faults) throw error;
    const list = [];
    for (const [name, message] of error.faults) {
      const target = all().find((item) => item.name === name) ?? all().find((item) => name.startsWith(`${item.name}/`) || name === `${item.name}@odata.bind`);
      target?.fault(message);
      list.push(element("li", {}, target ? element("a", { href: `#${target.control.id}`, onclick: (event) => { event.preventDefault(); target.control.focus(); } }, target.label) : null, target ? ": " : null, message));
    }
    showSummary([element("h2", {}, list.length === 1 ? "One thing is not right yet" : `${list.length} things are not right yet`), element("ul", {}, list)]);
  }

  function showSummary(content) {
    summary.replaceChildren(...content);
    summary.hidden = false;
    summary.focus();
    summary.scrollIntoView({ block: "nearest" });
  }

  return {
    node,
    isChanged: () => isChanged,
    leave: () => {
      isChanged = false;
      removeEventListener("beforeunload", warn);
    },
  };
}

/**
 * What is shown on a conflict: each member that both sides know, mine against theirs, and a choice.
 * `rows`: [[label, theirs, mine]] as text.
 */
export function conflictChoice({ noun, rows, onTheirs, onMine }) {
  const differing = rows.filter(([, theirs, mine]) => theirs !== mine);
  return [
    element("h2", {}, `Somebody else has changed this ${noun} in the meantime`),
    element("p", {}, "Nothing has been saved yet. Look at the differences and choose."),
    differing.length > 0 && element("table", { class: "differences" },
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, ""), element("th", { scope: "col" }, "Theirs"), element("th", { scope: "col" }, "Yours"))),
      element("tbody", {}, differing.map(([label, theirs, mine]) => element("tr", {}, element("th", { scope: "row" }, label), element("td", {}, theirs || "–"), element("td", {}, mine || "–"))))),
    element("div", { class: "actions" },
      element("button", { type: "button", class: "plain", onclick: onTheirs }, "Take theirs"),
      element("button", { type: "button", onclick: onMine }, "Save mine all the same")),
  ].filter(Boolean);
}
