const service = "/odata/Tasks";
const list = document.getElementById("tasks");
const message = document.getElementById("message");

async function call(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  if (options.body) headers["Content-Type"] = "application/json";
  const response = await fetch(service + path, { ...options, headers });
  if (response.status === 401) return signIn();
  if (response.status === 204) return null;
  const answer = await response.json();
  if (!response.ok) {
    const { message, details = [] } = answer.error;
    throw new Error([message, ...details.map((detail) => `${detail.target}: ${detail.message}`)].join(" — "));
  }
  return answer;
}

// The sign-in page is the server's own; it comes back here.
function signIn() {
  location.assign(`/-/sign-in?return=${encodeURIComponent(location.pathname)}`);
  return new Promise(() => {}); // the page is left
}

async function showPerson() {
  const response = await fetch("/-/session", { headers: { Accept: "application/json" } });
  if (response.status === 401) return signIn();
  const { name, fullName } = await response.json();
  document.getElementById("person").textContent = fullName ?? name;
  document.getElementById("sign-out").hidden = !name;
}

async function attempt(work) {
  message.textContent = "";
  try {
    await work();
    await show();
  } catch (error) {
    message.textContent = error.message;
  }
}

async function show() {
  const { value } = await call("?$orderby=Done,Priority desc,Due&$top=100");
  list.replaceChildren(...value.map(item));
}

function item(task) {
  const row = document.createElement("li");
  row.className = task.Done ? "done" : "";
  const done = document.createElement("input");
  done.type = "checkbox";
  done.checked = task.Done;
  done.setAttribute("aria-label", `Done: ${task.Title}`);
  const ifMatch = { "If-Match": task["@odata.etag"] };
  done.onchange = () => attempt(() =>
    call(`(${task.id})`, { method: "PATCH", headers: ifMatch, body: JSON.stringify({ Done: done.checked }) }));
  const title = document.createElement("span");
  title.textContent = task.Title;
  const detail = document.createElement("small");
  detail.textContent = [task.Priority === "Normal" ? "" : task.Priority, task.Due].filter(Boolean).join(", ");
  const remove = document.createElement("button");
  remove.hidden = !task.Done; // the rule in the model says so
  remove.textContent = "Delete";
  remove.onclick = () => attempt(() => call(`(${task.id})`, { method: "DELETE", headers: ifMatch }));
  row.append(done, title, detail, remove);
  return row;
}

document.getElementById("add").onsubmit = (event) => {
  event.preventDefault();
  const form = event.target;
  const values = Object.fromEntries(new FormData(form));
  if (!values.Due) delete values.Due;
  attempt(async () => {
    await call("", { method: "POST", body: JSON.stringify(values) });
    form.reset();
  });
};

attempt(showPerson);
