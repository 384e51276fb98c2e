// The page of failures: new when another set of things is the matter; what a person reads is not moved under their eyes otherwise.
import { showAge, showAlarms } from "./alarms.js";
import { showLocalTimes } from "./base.js";
import { listen } from "./live.js";
import { byId, give, setText } from "./page.js";
import { phrase, problemWords } from "./words.js";

const keyOf = (alarms) => alarms.map((alarm) => `${alarm.bay} ${alarm.sighting} ${alarm.kind} ${alarm.taken_by}`).sort().join("\n");
let shown = null;
let isFetching = false;

async function refresh(key) {
  isFetching = true;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const focused = document.activeElement?.getAttribute("href");
    byId("failures").replaceChildren(...fresh.getElementById("failures").childNodes);
    if (focused) byId("failures").querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
    showLocalTimes();
    shown = key;
  } catch {
    // The next event tries again.
  } finally {
    isFetching = false;
  }
}

// The list is made anew now and then: one listener for all of its buttons.
byId("failures").addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-locate]");
  if (!button) return;
  button.disabled = true;
  const why = await give(`/api/v1/bays/${encodeURIComponent(button.dataset.locate)}/locate`, { sighting: button.dataset.sighting });
  button.disabled = false;
  setText(button.nextElementSibling, why ? phrase("failed_order", { detail: problemWords(why) }) : phrase("accepted"));
});

function show(station) {
  const alarms = station.alarms ?? [];
  showAlarms(alarms);
  const key = keyOf(alarms);
  if (shown === null) shown = byId("failures").dataset.count === String(alarms.length) ? key : "";
  if (key !== shown && !isFetching) refresh(key);
}

listen(show, showAge);
