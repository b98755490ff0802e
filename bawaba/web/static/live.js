/* Pages that update themselves. Messages from /ws say that something changed; the piece of the page that shows it is then
   fetched again, so that every word stays the server's. <section data-live="session_update …" hx-get="…" hx-trigger="live"> */
"use strict";

(() => {
  const REST_MS = 2000; // between two fetches of the same piece
  const FIRST_MS = 150; // what arrives together is fetched once
  const WAIT_MS = [1000, 2000, 5000, 10000, 20000, 30000];
  const bar = document.getElementById("offline");
  const waiting = new Map(); // a piece's id → timer, for what is fetched may take the piece's place
  const fetched = new Map(); // a piece's id → when
  let tries = 0;
  let heard = new Date();
  let stale = false;

  const pieces = () => [...document.querySelectorAll("[data-live]")];
  if (!pieces().length || !bar) return;

  function refresh({ id }, atOnce = false) {
    if (document.hidden) {
      stale = true;
      return;
    }
    if (waiting.has(id) && !atOnce) return;
    clearTimeout(waiting.get(id));
    const rest = atOnce ? 0 : (fetched.get(id) || 0) + REST_MS - Date.now();
    waiting.set(id, setTimeout(fetchNow, Math.max(FIRST_MS, rest), id));
  }

  // What is under way may have been answered before the change: it is awaited, and asked again.
  function fetchNow(id) {
    const piece = document.getElementById(id);
    if (piece?.classList.contains("htmx-request")) {
      waiting.set(id, setTimeout(fetchNow, FIRST_MS, id));
      return;
    }
    waiting.delete(id);
    fetched.set(id, Date.now());
    piece?.dispatchEvent(new CustomEvent("live"));
  }

  function refreshAll() {
    for (const piece of pieces()) refresh(piece);
  }

  function take(message) {
    heard = new Date();
    if (message.type === "resync") return refreshAll();
    const isOver = message.type === "batch_progress" && message.state !== "making";
    for (const piece of pieces()) {
      const about = piece.dataset.liveId; // of one batch or one card only
      const of = message.batch_id ?? message.session?.voucher_id ?? message.router_id;
      if (piece.dataset.live.split(" ").includes(message.type) && (!about || about === String(of))) refresh(piece, isOver);
    }
  }

  function connect() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    socket.addEventListener("open", () => {
      refreshAll(); // the page was made before we listened
      tries = 0;
      show(true);
    });
    socket.addEventListener("message", (event) => take(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => {
      if (event.code === 4401) refreshAll(); // signed out: the answer to that leads to the sign-in page
      show(false);
      const wait = WAIT_MS[Math.min(tries, WAIT_MS.length - 1)];
      tries += 1;
      setTimeout(connect, wait * (0.75 + Math.random() / 2));
    });
  }

  function show(online) {
    for (const mark of document.querySelectorAll("[data-live-mark]")) {
      mark.classList.toggle("on", online);
      mark.classList.toggle("off", !online);
      mark.textContent = online ? mark.dataset.on : mark.dataset.off;
    }
    if (online && !bar.hidden) document.dispatchEvent(new CustomEvent("toast", { detail: bar.dataset.back }));
    bar.hidden = online;
    if (online) return;
    const time = heard.toLocaleTimeString(`${document.documentElement.lang}-u-nu-latn`, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    bar.querySelector("span").textContent = bar.dataset.text.replace("{time}", time);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && stale) {
      stale = false;
      refreshAll();
    }
  });
  window.addEventListener("pagehide", () => (tries = 0));
  connect();
})();
