// The screen's own script: files are sent when they are chosen or dropped, a switch when it is turned, times are
// shown in the reader's zone. Everything else is pages, forms and htmx.
"use strict";

function refuse(form, text) {
  const problem = form.querySelector("[data-problem]");
  if (problem) {
    problem.textContent = text;
    problem.hidden = false;
  }
}

function submitFile(input) {
  const file = input.files[0];
  if (!file) return;
  const most = Number(input.dataset.maxBytes || 0);
  if (most && file.size > most) {
    input.value = "";
    refuse(input.form, `The file is larger than ${most >> 20} MB, the most that can be uploaded.`);
    return;
  }
  input.form.setAttribute("aria-busy", "true");
  input.form.requestSubmit();
}

document.addEventListener("change", (event) => {
  const input = event.target;
  if (!(input instanceof HTMLInputElement) || !("submits" in input.dataset)) return;
  if (input.type === "file") submitFile(input);
  else input.form.requestSubmit();
});

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    const form = document.querySelector("form[data-drop]");
    if (!form || !event.dataTransfer || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    form.classList.add("over");
  });
}

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.querySelector("form[data-drop]")?.classList.remove("over");
});

document.addEventListener("drop", (event) => {
  const form = document.querySelector("form[data-drop]");
  if (!form || !event.dataTransfer || !event.dataTransfer.files.length) return;
  event.preventDefault();
  form.classList.remove("over");
  const input = form.querySelector("input[type=file]");
  input.files = event.dataTransfer.files;
  submitFile(input);
});

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.valueOf())) continue;
    time.title = time.textContent;
    time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}

localTimes(document);
document.addEventListener("htmx:load", (event) => localTimes(event.detail.elt));

// A run has ended: the title says so, also in a window that nobody looks at, and the page goes on by itself.
document.addEventListener("htmx:sseMessage", (event) => {
  if (event.detail.type !== "done") return;
  document.title = `Done – ${document.title}`;
  const path = event.detail.data.trim();
  if (path.startsWith("/imports/")) window.location.assign(path);
});

// A page that is no longer kept up to date says so, until it is again.
const NOT_ANSWERING = "The importer does not answer, so this page may be out of date. If it was closed, start it " +
  "again and open the address that it prints: what was sent is kept.";
const NOT_UPDATED = "This page could not be brought up to date. Reload it.";
let silent = 0;

function say(text) {
  const place = document.querySelector("[data-gone]");
  place.textContent = text;
  place.hidden = !text;
}

function answered() {
  clearTimeout(silent);
  say("");
}

document.addEventListener("htmx:sseOpen", answered);
document.addEventListener("htmx:sseClose", answered);
document.addEventListener("htmx:sseError", () => {
  clearTimeout(silent);
  silent = setTimeout(() => say(NOT_ANSWERING), 3000); // a stream that ended is opened again
});
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.successful) answered();
  else if (!leaving) say(detail.xhr.status && detail.xhr.status !== 401 ? NOT_UPDATED : NOT_ANSWERING);
});

// What was typed or ticked in other forms is kept, too, before a form is sent or a link is followed: it would be
// lost.
function isChanged(form) {
  return [...form.elements].some((field) => field instanceof HTMLSelectElement
    ? [...field.options].some((option) => option.selected !== option.defaultSelected) && field.selectedIndex > 0
    : field.type !== "hidden" && "defaultValue" in field
      && (field.value !== field.defaultValue || field.checked !== field.defaultChecked));
}

let keeping = false;

async function keep(forms, then) {
  if (keeping) return;
  keeping = true;
  try {
    for (const form of forms) {
      const body = new URLSearchParams(new FormData(form));
      await fetch(form.dataset.kept || form.action, { method: "POST", body, redirect: "manual" });
    }
    then();
  } catch {
    keeping = false;
    say(NOT_ANSWERING);
  }
}

function keepFirst(event, except, then) {
  const forms = [...document.querySelectorAll("form[data-kept]")].filter((form) => form !== except && isChanged(form));
  if (event.defaultPrevented || !forms.length) return;
  event.preventDefault();
  keep(forms, then);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  keepFirst(event, form, () => form.submit());
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  keepFirst(event, null, () => window.location.assign(link.href));
});

// A page that is left takes its questions along: htmx would call that an error on the console.
let leaving = false;
window.addEventListener("beforeunload", () => {
  leaving = true;
  setTimeout(() => { leaving = false; }, 3000); // a download does not leave the page
});
document.addEventListener("htmx:beforeSend", (event) => {
  const { xhr } = event.detail;
  for (const name of ["onabort", "onerror"]) {
    const handler = xhr[name];
    xhr[name] = (...given) => (leaving ? undefined : handler?.apply(xhr, given));
  }
});
