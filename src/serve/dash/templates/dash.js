// What makes pages better, where scripts run: alerts that come in while somebody looks, and a search that follows the typing.
// Everything is drawn by the server; this only asks for it again.
"use strict";

const live = document.getElementById("live");
const told = document.getElementById("told");
const news = document.getElementById("news");

/** Puts what the server draws now in the place of what is shown. */
async function refresh(url, isStill = () => true) {
  const part = new URL(url, location.href);
  part.searchParams.set("part", "1");
  let answer;
  try {
    answer = await fetch(part, { credentials: "same-origin" });
  } catch {
    return false; // The page is being left, or the server is away: what is shown stays.
  }
  // Who was logged out is led to where they can log in.
  if (answer.redirected) {
    location.reload();
    return false;
  }
  if (!answer.ok || !isStill()) return false;
  const html = await answer.text();
  if (!isStill()) return false;
  live.innerHTML = html;
  return true;
}

/** Alerts as they come, heard by the server-sent events of this workspace, as long as the page is seen. */
function listen(url) {
  let source = null;
  let heard = 0;
  let waiting = null;
  const show = (event) => {
    const alert = JSON.parse(event.data);
    if (event.type !== "alert.resolved") {
      heard += 1;
      news.textContent = String(heard);
      news.hidden = false;
      const link = document.createElement("a");
      link.href = "/alerts/" + encodeURIComponent(alert.alert_id);
      link.textContent = alert.message;
      told.replaceChildren(document.body.dataset.heard + " ", link);
    }
    // Many come at once: the list is asked for once, and not while somebody is at one of its buttons.
    if (live.dataset.refresh && waiting === null && !live.contains(document.activeElement)) {
      waiting = setTimeout(async () => {
        waiting = null;
        await refresh(live.dataset.refresh);
        document.querySelector(`[data-alert="${CSS.escape(alert.alert_id)}"]`)?.classList.add("new");
      }, 150);
    }
  };
  const begin = () => {
    source = new EventSource(url);
    for (const type of ["alert.opened", "alert.escalated", "alert.resolved"]) source.addEventListener(type, show);
    source.addEventListener("reset", () => live.dataset.refresh && refresh(live.dataset.refresh));
  };
  // A browser has few connections to a server: a page that nobody sees keeps none, and catches up when it is seen again.
  document.addEventListener("visibilitychange", () => {
    source.close();
    if (document.hidden) return;
    begin();
    if (live.dataset.refresh) refresh(live.dataset.refresh);
  });
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && begin());
  begin();
}

/** A form that searches while somebody types; what was typed stays in the address. */
function follow(form) {
  let turn = 0;
  let waiting = null;
  const search = () => {
    const mine = ++turn;
    const url = new URL(form.action);
    for (const [name, value] of new FormData(form)) if (value) url.searchParams.set(name, value);
    refresh(url, () => mine === turn).then((shown) => shown && history.replaceState(null, "", url));
  };
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 250);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    search();
  });
}

if (document.body.dataset.live) listen(document.body.dataset.live);
document.querySelectorAll("form[data-search]").forEach(follow);
