// What JavaScript adds to the pages, which also work without it.
(() => {
  "use strict";

  // The user's local time beside each UTC time, unless the times have a zone of their own.
  const iso = (moment) => moment.toISOString().slice(0, 16).replace("T", " ");
  const addLocalTimes = () => {
    if (document.documentElement.dataset.zone) return;
    for (const time of document.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      const offset = moment.getTimezoneOffset();
      if (!offset) continue;
      let local = time.nextElementSibling;
      if (!local?.classList.contains("local")) {
        local = Object.assign(document.createElement("span"), { className: "local" });
        time.after(local);
      }
      const there = iso(new Date(moment - 60000 * offset));
      const sameDay = there.slice(0, 10) === iso(moment).slice(0, 10);
      const text = `${sameDay ? there.slice(11) : there} local`;
      if (local.textContent !== text) local.textContent = text;
    }
  };

  // Chosen servers stay chosen on other pages of the list, and with another filter.
  const boxes = () => [...document.querySelectorAll("input[name=server][type=checkbox]")];
  const chosen = new Set();
  const noteChosen = () => {
    for (const box of boxes()) box.checked ? chosen.add(box.value) : chosen.delete(box.value);
    showChosen();
  };
  const showChosen = () => {
    const kept = document.getElementById("kept");
    if (!kept) return;
    const shown = new Set();
    for (const box of boxes()) { box.checked = chosen.has(box.value); shown.add(box.value); }
    const others = [...chosen].filter((id) => !shown.has(id));
    kept.replaceChildren(...others.map((id) => Object.assign(document.createElement("input"), { type: "hidden", name: "server", value: id })));
    const text = chosen.size ? `${chosen.size} chosen${others.length ? `, ${others.length} not shown here` : ""}` : "";
    // Told as well, since no reader tells that the name of what it can open has changed.
    for (const id of ["chosen", "count-chosen"]) {
      const line = document.getElementById(id);
      if (line && line.textContent !== text) line.textContent = text;
    }
  };
  // One box that chooses all servers of the page.
  const wireAll = () => {
    const all = document.getElementById("all");
    if (!all) return;
    all.hidden = false;
    all.onchange = () => { for (const box of boxes()) box.checked = all.checked; noteChosen(); };
  };
  document.addEventListener("change", (event) => {
    if (event.target.name === "server") noteChosen();
    if (event.target.name === "image") noteImages();
  });
  // So do the chosen images of a server.
  const images = new Set();
  const imageBoxes = () => document.querySelectorAll("input[name=image][type=checkbox]");
  const noteImages = () => { for (const box of imageBoxes()) box.checked ? images.add(box.value) : images.delete(box.value); };
  const showImages = () => { for (const box of imageBoxes()) box.checked = images.has(box.value); };
  const firstChosen = () => {
    for (const field of document.querySelectorAll("#kept input")) chosen.add(field.value);
    noteChosen();
  };

  // Clear a forecast once the form or the images have changed.
  const clearForecast = () => document.querySelector("#schedule-form #forecast")?.replaceChildren();
  document.addEventListener("input", (event) => { if (event.target.form?.id === "schedule-form") clearForecast(); });
  let state = document.getElementById("summary")?.dataset.state;
  const checkState = () => {
    const now = document.getElementById("summary")?.dataset.state;
    if (now !== state) clearForecast();
    state = now;
  };

  // Keep what was typed for after the next login.
  const touched = (field) => field.name && field.type !== "hidden" && (
    ["checkbox", "radio"].includes(field.type) ? field.checked && !field.defaultChecked
      : field.options ? !field.selectedOptions[0]?.defaultSelected
        : field.value !== field.defaultValue);
  const withTyped = (door) => {
    const url = new URL(door, location.href);
    const next = new URL(location.href);
    for (const form of document.querySelectorAll("#schedule-form, #snapshot-form, #bulk")) {
      for (const field of form.elements) if (touched(field)) next.searchParams.append(field.name, field.value);
    }
    for (const field of document.querySelectorAll("#kept input")) next.searchParams.append("server", field.value);
    url.searchParams.set("next", next.pathname + next.search);
    return url.href;
  };

  // A message can be closed; one of success goes away by itself.
  for (const message of document.querySelectorAll("#messages .message")) {
    const close = Object.assign(document.createElement("button"), { type: "button" });
    close.setAttribute("aria-label", "Close the message");
    close.onclick = () => message.remove();
    message.append(close);
    if (message.classList.contains("done")) setTimeout(() => message.remove(), 20000);
  }
  // A form that leads back to its page does not throw the reader to the top.
  const place = "scrolled " + location.pathname;
  const scrolled = sessionStorage.getItem(place);
  sessionStorage.removeItem(place);
  if (scrolled && !location.hash) window.scrollTo(0, Number(scrolled));

  const offline = (hidden) => {
    const line = document.getElementById("offline");
    if (line) line.hidden = hidden;
  };

  // Reload a page that waits for the cloud.
  const waiting = document.querySelector("[data-reload]");
  if (waiting) setTimeout(() => location.reload(), 1000 * waiting.dataset.reload);

  const dress = () => { addLocalTimes(); wireAll(); showChosen(); showImages(); checkState(); };
  // On a phone one line stays in sight, and opens.
  const foldBar = () => { if (matchMedia("(max-width: 44rem)").matches) document.getElementById("bar")?.removeAttribute("open"); };
  const begin = () => { foldBar(); firstChosen(); noteImages(); dress(); };
  if (document.readyState !== "loading") begin();
  else document.addEventListener("DOMContentLoaded", begin);
  document.addEventListener("htmx:after:swap", dress);
  document.addEventListener("htmx:after:settle", dress);
  // Also handle what was typed before the scripts were loaded.
  document.addEventListener("htmx:after:init", (event) => {
    for (const field of event.target?.querySelectorAll?.("input[type=search]") ?? []) {
      if (field.value !== field.defaultValue) field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });
  document.addEventListener("htmx:error", () => offline(false));
  // A form that was sent decides where the page goes: no refresh may lead it elsewhere.
  const leaving = () => document.querySelector("form[data-sent]") !== null;
  document.addEventListener("htmx:before:response", (event) => {
    offline(true);
    const { hx } = event.detail?.ctx ?? {};
    if (leaving()) { delete hx?.redirect; delete hx?.refresh; }
    if (hx?.redirect) hx.redirect = withTyped(hx.redirect);
  });
  // A hidden page sends no requests.
  document.addEventListener("htmx:config:request", (event) => {
    if (!event.target?.hasAttribute?.("data-refresh")) return;
    if (document.hidden || leaving()) event.preventDefault();
    event.detail.ctx.asked = event.target.getAttribute("hx-get");
  });
  // A refresh of what is no longer shown, because a filter was quicker, comes too late.
  document.addEventListener("htmx:before:swap", (event) => {
    const { asked, sourceElement } = event.detail?.ctx ?? {};
    if (asked !== undefined && asked !== document.getElementById(sourceElement.id)?.getAttribute("hx-get")) event.preventDefault();
  });

  // Send a form once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    sessionStorage.setItem(place, window.scrollY);
    form.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      form.removeAttribute("aria-busy");
    }
  });
})();
