/* Small comforts; every page works without them. No inline handlers: the CSP forbids them. */
"use strict";

const ask = document.getElementById("ask");

// Questions open in a dialog.
document.addEventListener("htmx:after:swap", (event) => {
  if (ask && event.detail.ctx.target === ask && !ask.open) ask.showModal();
});

document.addEventListener("click", (event) => {
  const on = (selector) => event.target.closest(selector);
  const dialog = event.target.closest("dialog");
  if (dialog && (event.target === dialog || on("[data-close]"))) {
    event.preventDefault();
    dialog.close();
  }
  const opens = on("[data-open]");
  if (opens) document.getElementById(opens.dataset.open).showModal();
  if (on("[data-dismiss]")) on(".toast").remove();
  const fill = on("[data-fill]");
  if (fill) {
    const input = document.getElementById(fill.dataset.fill);
    input.value = fill.dataset.value;
    if (fill.dataset.unit) input.form.elements[`${input.name}_unit`].value = fill.dataset.unit;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }
  const copy = on("[data-copy]");
  if (copy) say(copy, write(copy.dataset.copy));
  const share = on("[data-share]");
  if (share) say(share, offer(share));
  if (on("[data-print]")) window.print();
});

// A page that was asked for in one language asks its questions in that one.
document.addEventListener("htmx:config:request", (event) => {
  const spoken = new URL(location.href).searchParams.get("lang");
  if (spoken) event.detail.ctx.request.body.set("lang", spoken);
});

// A second click on the same button must not order twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "get" || form.hasAttribute("hx-get")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  if (event.submitter) event.submitter.setAttribute("aria-busy", "true");
});

window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  }
});

// Whoever was signed out meanwhile gets the sign-in page, not a piece of it inside the page.
document.addEventListener("htmx:before:response", (event) => {
  const { ctx } = event.detail;
  const url = new URL(ctx.response.raw.url);
  if (ctx.response.raw.redirected && url.pathname === "/login") {
    event.preventDefault();
    location.reload();
  }
});

// "Saved" is said once: a reload or a bookmark does not say it again.
const here = new URL(location.href);
if (here.searchParams.has("said")) {
  here.searchParams.delete("said");
  history.replaceState(null, "", here);
}

document.querySelector("[aria-invalid=true]")?.focus();

// Toasts: what was done goes away by itself, but not while somebody is at it.
const toasts = document.getElementById("toasts");
const TOAST_MS = 8000;

function leaveSoon(toast) {
  setTimeout(() => (toast.matches(":hover, :focus-within") ? leaveSoon(toast) : toast.remove()), TOAST_MS);
}

toasts?.querySelectorAll(".toast").forEach(leaveSoon);
document.addEventListener("toast", ({ detail }) => {
  const toast = document.getElementById("toast").content.firstElementChild.cloneNode(true);
  toast.querySelector("div").textContent = detail;
  toasts.append(toast);
  leaveSoon(toast);
});

// Keys: ? lists them, / searches, g and a letter go somewhere. They can be switched off, and never act while one types.
const keys = document.getElementById("keys");
const KEYS_OFF = "bawaba-keys-off";
let wentAt = 0;

if (keys) {
  const on = document.getElementById("keys-on");
  on.checked = !localStorage.getItem(KEYS_OFF);
  on.addEventListener("change", () => (on.checked ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "yes")));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, [contenteditable], dialog");
    if (!on.checked || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const letter = /^[a-z?/]$/.test(event.key) ? event.key : key(event); // an Arabic keyboard has its letters in the same places
    if (letter === "g") wentAt = event.timeStamp;
    else if (event.timeStamp - wentAt < 1500) document.querySelector(`#menu [data-key="${letter}"]`)?.click();
    else if (letter === "?") keys.showModal();
    else if (letter === "/") focusSearch(event);
  });
}

function key(event) {
  if (event.code === "Slash") return event.shiftKey ? "?" : "/";
  return event.code.startsWith("Key") ? event.code.slice(3).toLowerCase() : "";
}

function focusSearch(event) {
  const search = document.querySelector("main [type=search]");
  if (!search) return;
  event.preventDefault();
  search.select();
}

// A list is found while one types; its address keeps what was typed.
let typed = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-as-typed]");
  if (!form || !document.getElementById("found")) return;
  clearTimeout(typed);
  typed = setTimeout(find, 300, form);
});

async function find(form) {
  const sent = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  const address = `${form.getAttribute("action") || location.pathname}?${sent}`;
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const found = page.getElementById("found");
  if (!found) return;
  document.getElementById("found").replaceWith(found);
  window.htmx?.process?.(found);
  history.replaceState(null, "", address);
}

/** Put text on the clipboard; old browsers and plain-http pages have only the second way. */
async function write(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("copying is not allowed");
}

/** Offer a link, or a picture (data-picture), to the phone's own share sheet; else copy the text. */
async function offer(button) {
  const text = button.dataset.share;
  if (!navigator.share) return write(text);
  const shared = { text };
  if (button.dataset.picture) {
    const picture = await (await fetch(button.dataset.picture)).blob();
    const file = new File([picture], button.dataset.name || "card.png", { type: picture.type });
    if (navigator.canShare?.({ files: [file] })) shared.files = [file];
  }
  return navigator.share(shared);
}

/** Say in the button itself whether it worked, for two seconds. */
function say(button, work) {
  const words = button.querySelector("[data-words]") || button;
  const before = words.textContent;
  work.then(
    () => show(button.dataset.done),
    (error) => error.name === "AbortError" || show(button.dataset.failed),
  );
  function show(text) {
    if (!text) return;
    words.textContent = text;
    setTimeout(() => (words.textContent = before), 2000);
  }
}
