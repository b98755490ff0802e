/* Pages that update themselves. Messages from /ws say that something changed; the piece of the page that shows it is then
   fetched again, so that every word stays the server's. <section data-live="session_update …" hx-get="…" hx-trigger="live"> */
"use strict";

(() => {
  const REST_MS = 2000; // between two fetches of the same piece
  const FIRST_MS = 150; // what arrives together is fetched once
  const WAIT_MS = [1000, 2000, 5000, 10000, 20000, 30000];
  const bar = document.getElementById("offline");
  const waiting = new WeakMap(); // piece → timer
  const fetched = new WeakMap(); // piece → when
  let tries = 0;
  let heard = new Date();
  let stale = false;

  const pieces = () => [...document.querySelectorAll("[data-live]")];
  if (!pieces().length || !bar) return;

  function refresh(piece) {
    if (document.hidden) {
      stale = true;
      return;
    }
    if (waiting.has(piece)) return;
    const wait = Math.max(FIRST_MS, (fetched.get(piece) || 0) + REST_MS - Date.now());
    waiting.set(
      piece,
      setTimeout(() => {
        waiting.delete(piece);
        fetched.set(piece, Date.now());
        if (piece.isConnected) piece.dispatchEvent(new CustomEvent("live"));
      }, wait),
    );
  }

  function refreshAll() {
    for (const piece of pieces()) refresh(piece);
  }

  function take(message) {
    heard = new Date();
    if (message.type === "resync") return refreshAll();
    for (const piece of pieces()) {
      const about = piece.dataset.liveId; // of one batch or one card only
      const of = message.batch_id ?? message.session?.voucher_id ?? message.router_id;
      if (piece.dataset.live.split(" ").includes(message.type) && (!about || about === String(of))) refresh(piece);
    }
  }

  function connect() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    socket.addEventListener("open", () => {
      if (tries) refreshAll();
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
    for (const mark of document.querySelectorAll("[data-live-mark]")) mark.classList.toggle("on", online);
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
