/* Small comforts; every page works without them. No inline handlers: the CSP forbids them. */
"use strict";

const ask = document.getElementById("ask");

// Questions open in a dialog.
document.addEventListener("htmx:after:swap", (event) => {
  if (ask && event.detail.ctx.target === ask && !ask.open) ask.showModal();
});

document.addEventListener("click", (event) => {
  const on = (selector) => event.target.closest(selector);
  if (ask && (event.target === ask || (ask.open && on("[data-close]")))) {
    event.preventDefault();
    ask.close();
  }
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
