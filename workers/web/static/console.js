// The console's light touch of script. Every page works without it: it only refreshes what is under way, counts ages
// on, copies ids, keeps the chosen theme, and stops a form from being sent by accident twice.
"use strict";

(() => {
  const root = document.documentElement;
  // What only a script can do is shown by the style sheet from here on; copying takes a secure context.
  root.classList.add("scripted");
  if (navigator.clipboard) root.classList.add("copying");
  const kept = localStorage.getItem("theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;

  const theme = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  };

  const span = (milliseconds) => {
    let left = Math.max(0, Math.floor(milliseconds / 1000));
    const parts = [];
    for (const [name, seconds] of [["day", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
      const count = Math.floor(left / seconds);
      left %= seconds;
      if (count) parts.push(`${count} ${name}${name === "day" && count > 1 ? "s" : ""}`);
      if (parts.length === 2 || (parts.length && !count)) break;
    }
    return parts.join(" ") || "0 s";
  };

  // Ages are told by the server's clock: this machine's may be wrong, so only what has passed since is added.
  const loaded = performance.now();
  const age = () => {
    for (const time of document.querySelectorAll("time[data-age]")) {
      const since = Number(time.dataset.age) + performance.now() - Number(time.dataset.from || loaded);
      time.textContent = `${span(since)} ago`;
    }
  };

  // A reload would overtake the page that somebody is on the way to. A download says that it leaves as well, and stays.
  let left = -Infinity;
  addEventListener("beforeunload", () => { left = performance.now(); });
  const leaving = () => performance.now() - left < 30000;

  const refresh = async (place) => {
    const chosen = document.getSelection();
    const busy = place.contains(document.activeElement) || (chosen && !chosen.isCollapsed && place.contains(chosen.anchorNode));
    if (!document.hidden && !busy) {
      try {
        const answer = await fetch(place.dataset.refresh, { headers: { "x-fragment": "1" }, credentials: "same-origin" });
        const gone = answer.redirected || answer.status === 401;
        if (gone && !leaving()) return location.reload();
        if (answer.ok && !gone) {
          const text = await answer.text();
          if (text !== place.dataset.last) {
            place.innerHTML = text;
            place.dataset.last = text;
            for (const time of place.querySelectorAll("time[data-age]")) time.dataset.from = performance.now();
          }
          place.classList.remove("offline");
          if (place.querySelector("[data-ended]") && !leaving()) return location.reload();
        }
      } catch {
        place.classList.add("offline");
      }
    }
    // Soon at first, because most things end soon; then as often as the page says.
    place.wait = Math.min((place.wait || 250) * 1.5, Number(place.dataset.every || 2000));
    setTimeout(refresh, place.wait, place);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.copy !== undefined) {
      navigator.clipboard.writeText(button.dataset.copy).then(() => {
        button.textContent = "copied";
        setTimeout(() => { button.textContent = "copy"; }, 1500);
      });
    } else if (button?.dataset.theme !== undefined) theme();
  });

  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    // The one that was pressed must still be part of the form while it is being sent.
    setTimeout(() => { for (const one of event.target.querySelectorAll("button")) one.disabled = true; });
  });

  addEventListener("pageshow", (event) => {
    if (event.persisted) for (const one of document.querySelectorAll("button[disabled]")) one.disabled = false;
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) return;
    const first = document.querySelector("form.filter input, form.filter select");
    if (first) { event.preventDefault(); first.focus(); }
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelector(".rail [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    for (const place of document.querySelectorAll("[data-refresh]")) {
      setTimeout(refresh, 250, place);
    }
    setInterval(age, 1000);
  });
})();
