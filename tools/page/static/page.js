// The page works without this. It adds: following a topic live, numbers that keep up, and "/" for the search field.
"use strict";

const LIVE_MS = 1000;
const LIVE_ROWS = 200;

async function html(address) {
  const response = await fetch(address, { credentials: "same-origin" });
  if (!response.ok) throw new Error(response.status === 401 ? "the page was restarted" : "no answer: " + response.status);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

for (const button of document.querySelectorAll("[data-live]")) {
  const rows = document.getElementById(button.getAttribute("aria-controls"));
  const status = document.getElementById("live-status");
  let seen = 0;

  async function follow() {
    if (button.getAttribute("aria-pressed") !== "true") return;
    try {
      if (!document.hidden) {
        const found = (await html(button.dataset.live + "&at=" + encodeURIComponent(button.dataset.at))).querySelector("table");
        button.dataset.at = found.dataset.at;
        for (const row of [...found.querySelectorAll("tbody > tr")]) {
          row.classList.add("new");
          rows.prepend(row);
          seen += 1;
        }
        while (rows.rows.length > LIVE_ROWS) rows.lastElementChild.remove();
        if (Number(found.dataset.count)) document.getElementById("none")?.remove();
        const words = seen ? seen + (seen === 1 ? " new message" : " new messages") : "waiting for messages";
        if (status.textContent !== words) status.textContent = words;
      }
      setTimeout(follow, LIVE_MS);
    } catch (error) {
      button.setAttribute("aria-pressed", "false");
      status.textContent = "stopped: " + error.message;
    }
  }

  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    status.textContent = on ? "waiting for messages" : "";
    if (on) follow();
  });
}

for (const section of document.querySelectorAll("[data-refresh]")) {
  setInterval(async () => {
    if (document.hidden || section.contains(document.activeElement) || String(getSelection())) return;
    try {
      const fresh = (await html(location.href)).getElementById(section.id);
      if (fresh) section.replaceChildren(...fresh.childNodes);
    } catch { /* the next time, perhaps */ }
  }, 1000 * Number(section.dataset.refresh));
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = document.querySelector("[data-search]");
  if (!field) return;
  event.preventDefault();
  field.focus();
});
