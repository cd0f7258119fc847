// Keeps an open page true.  Without it everything works: it only spares reloading.
// Nothing moves under a thumb: what is new waits behind a button, timers and progress change
// in place.  Only a page that nobody sees brings itself up to date.
"use strict";
(() => {
  const body = document.body.dataset;
  const all = (query, root) => [...(root || document).querySelectorAll(query)];
  const one = (query, root) => (root || document).querySelector(query);
  const news = one("[data-news]"), live = one("[data-live]");
  if (!news) return;
  const SILENT = 5, OFF = 60, POLL = 10;
  let seq = Number(body.seq || 0), mark = body.mark || "";
  let heard = Date.now(), serverAt = Date.now(), polling = !body.stream, last = null;

  const clock = (ms) => new Date(ms).toISOString().slice(11, 19) + "Z";
  const span = (seconds) => {
    let left = Math.max(0, Math.round(seconds)), parts = [];
    for (const [unit, size] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
      const count = Math.floor(left / size);
      left %= size;
      if (count) parts.push(count + unit); else if (parts.length) break;
      if (parts.length === 2) break;
    }
    return parts.join("") || "0s";
  };
  const serverNow = () => serverAt + (Date.now() - heard);
  const set = (node, text) => { if (node && node.textContent !== text) node.textContent = text; };

  const freeze = (form, off) => all("button[name=decision]", form).forEach((b) => { b.disabled = off; });
  const offer = (text) => { news.textContent = text; news.hidden = false; };

  function take(told) {
    heard = Date.now();
    serverAt = Date.parse(told.now) || heard;
    if (told.mark !== undefined) {
      if (told.mark !== mark) offer("Something is new: show it");
      all("[data-age]").forEach((n) => set(n, told.age));
    }
    if (told.seq === undefined) return;
    last = told;
    for (const [name, run] of Object.entries(told.runs)) {
      const line = all("[data-run]").find((n) => n.dataset.run === name);
      if (!line) continue;
      set(one("[data-text]", line), run.text);
      const bar = one("[data-bar]", line);
      if (bar && run.total) { bar.max = run.total; bar.value = run.done; }
    }
    let changed = 0;
    for (const card of all("[data-plan]")) {
      const stale = told.plans[card.dataset.plan] !== card.dataset.version;
      const words = one("[data-changed]", card);
      if (stale) changed += 1;
      if (words) words.hidden = !stale;
      all("[data-decide]", card).forEach((f) => { f.dataset.stale = stale ? "1" : ""; });
    }
    const known = new Set(all("[data-plan]").map((n) => n.dataset.plan));
    const fresh = Object.keys(told.plans).filter((p) => !known.has(p)).length;
    all("[data-ago]").forEach((n) => { n.dataset.ago = told.last; });
    const state = one("[data-state] .word");
    if (state && !state.textContent.includes(told.state)) offer("Now " + told.state + ": show it");
    else if (fresh) offer(fresh + " new to decide: show");
    else if (changed) offer("A decision has changed: show it");
    else if (told.seq > seq) offer((told.seq - seq) + " new: show");
    if (told.seq > seq && document.hidden) refresh();
    tick();
  }

  async function refresh() {
    const answer = await fetch(location.pathname, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) { location.reload(); return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const typed = new Map(all("[data-part] textarea, [data-part] input[name=target]").map((n) => [n.id, n.value]));
    const olds = all("[data-part]"), fresh = all("[data-part]", page);
    const names = (parts) => parts.map((n) => n.dataset.part).join();
    if (names(olds) !== names(fresh)) { location.reload(); return; }
    olds.forEach((old, n) => old.replaceWith(document.importNode(fresh[n], true)));
    typed.forEach((text, id) => { const n = document.getElementById(id); if (n) n.value = text; });
    seq = Number(page.body.dataset.seq || 0);
    mark = page.body.dataset.mark || "";
    document.title = page.title;
    news.hidden = true;
    tick();
  }

  function tick() {
    const now = serverNow(), silent = (Date.now() - heard) / 1000;
    all("[data-since]").forEach((n) => {
      const end = n.dataset.ended ? Date.parse(n.dataset.ended) : now;
      set(n, span((end - Date.parse(n.dataset.since)) / 1000));
    });
    all("[data-until]").forEach((n) => set(n, span((Date.parse(n.dataset.until) - now) / 1000)));
    all("[data-ago]").forEach((n) => set(n, span((now - Date.parse(n.dataset.ago)) / 1000) + " ago"));
    const quiet = silent > (polling ? POLL + SILENT : SILENT);
    if (live) {
      live.classList.toggle("off", quiet);
      set(live, quiet ? "stopped " + clock(serverAt) : polling ? "checked " + clock(serverAt) : "live");
    }
    all("[data-decide]").forEach((form) => {
      const until = one("[data-until]", form.closest("[data-plan]"));
      const over = until && Date.parse(until.dataset.until) <= now;
      freeze(form, silent > OFF || form.dataset.stale === "1" || over || form.dataset.sent === "1");
    });
  }

  async function poll() {
    if (!body.poll || !polling) return;
    try {
      const answer = await fetch(body.poll, { credentials: "same-origin", redirect: "error" });
      if (answer.ok) take(await answer.json());
    } catch (_) { /* the silence itself is shown */ }
  }

  function listen() {
    if (!body.stream || !window.EventSource) { polling = true; return; }
    const source = new EventSource(body.stream);
    const hear = (event) => { polling = false; take(JSON.parse(event.data)); };
    source.addEventListener("now", hear);
    source.addEventListener("beat", hear);
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) { polling = true; poll(); setTimeout(listen, 30000); }
    };
    window.addEventListener("pagehide", () => source.close());
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-decide], [data-note], [data-ack]")) return;
    if (form.dataset.sent === "1") { event.preventDefault(); return; }
    form.dataset.sent = "1";
    setTimeout(tick, 0);
    setTimeout(() => { form.dataset.sent = ""; }, 10000);
  });

  news.addEventListener("click", () => refresh().catch(() => location.reload()));
  document.addEventListener("visibilitychange", () => { if (!document.hidden && polling) poll(); });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  const help = one("[data-help]"), keys = one("[data-keys]");
  keys.checked = localStorage.getItem("keys") !== "off";
  keys.addEventListener("change", () => localStorage.setItem("keys", keys.checked ? "on" : "off"));
  const step = (by) => {
    const steps = all("[data-step]");
    const at = steps.indexOf(document.activeElement.closest("[data-step]"));
    const next = steps[Math.min(steps.length - 1, Math.max(0, at + by))];
    if (next) { next.focus({ preventScroll: true }); next.scrollIntoView({ block: "start" }); }
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    if (event.key === "?") { help.showModal(); return; }
    if (!keys.checked || help.open) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "n") { const note = one("#text"); if (note) { note.focus(); event.preventDefault(); } }
    else if (event.key === "a") { const form = one("[data-ack]"); if (form) form.requestSubmit(); }
  });

  listen();
  poll();
  tick();
  setInterval(tick, 1000);
  setInterval(poll, POLL * 1000);
})();
