// What the pages gain where there is JavaScript; without it all of them still work.
(() => {
  "use strict";

  // The reader's own time beside each UTC time.
  const zone = new Intl.DateTimeFormat(undefined, {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false,
  });
  const addLocalTimes = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const local = time.nextElementSibling;
      const moment = new Date(time.dateTime);
      if (local?.classList.contains("local") && !Number.isNaN(moment.getTime()) && moment.getTimezoneOffset() !== 0) {
        const text = ` ${zone.format(moment)} local`;
        if (local.textContent !== text) local.textContent = text;
      }
    }
  };

  // One box that chooses all servers of the page.
  const wireAll = () => {
    const all = document.getElementById("all");
    if (!all) return;
    all.hidden = false;
    all.onchange = () => {
      for (const box of document.querySelectorAll("input[name=server][type=checkbox]")) box.checked = all.checked;
    };
  };

  const offline = (hidden) => {
    const line = document.getElementById("offline");
    if (line) line.hidden = hidden;
  };

  // A page without what it is about is loaded again.
  const waiting = document.querySelector("[data-reload]");
  if (waiting) setTimeout(() => location.reload(), 1000 * waiting.dataset.reload);

  const dress = () => { addLocalTimes(); wireAll(); };
  document.addEventListener("DOMContentLoaded", dress);
  if (document.readyState !== "loading") dress();
  document.addEventListener("htmx:after:swap", dress);
  document.addEventListener("htmx:after:settle", dress);
  // What was typed before the scripts were there counts as well.
  document.addEventListener("htmx:after:init", (event) => {
    for (const field of event.target?.querySelectorAll?.("input[type=search]") ?? []) {
      if (field.value !== field.defaultValue) field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });
  document.addEventListener("htmx:error", () => offline(false));
  document.addEventListener("htmx:before:response", () => offline(true));
  // A page that nobody sees asks for nothing.
  document.addEventListener("htmx:config:request", (event) => {
    if (document.hidden && event.target?.hasAttribute?.("data-refresh")) event.preventDefault();
  });

  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    form.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      form.removeAttribute("aria-busy");
    }
  });
})();
