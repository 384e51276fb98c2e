// The bar of alarms, their dialog, and how old the picture is; on every page with a live picture.
import { byId, element, give, setText, symbol } from "./page.js";
import { span } from "./quantities.js";
import { findings, phrase, problemWords, said } from "./words.js";

const TITLE = document.title;
let known = "";
let shown = [];

const placeOf = (alarm) => (alarm.bay ? phrase("bay", { bay: alarm.bay }) : phrase("station"));

export function showAlarms(alarms) {
  const open = alarms.filter((alarm) => !alarm.taken_by);
  const state = JSON.stringify(alarms);
  if (state === known) return;
  shown = alarms;
  const bar = byId("alarms");
  bar.className = `alarms ${open.length ? "is-open" : alarms.length ? "is-taken" : "is-quiet"}`;
  const key = open.length ? "alarms" : alarms.length ? "taken" : "no_alarms";
  const count = open.length || alarms.length;
  setText(byId("alarms-count"), phrase(key, { count }));
  setText(byId("alarms-first"), open.length ? `${placeOf(open[0])}: ${findings[open[0].kind].word}` : "");
  document.title = open.length ? `(${open.length}) ${TITLE}` : TITLE;
  // Not at once when the page comes: whoever reads it has it before them.
  if (open.length && known) setText(byId("alarms-said"), `${byId("alarms-count").textContent}. ${byId("alarms-first").textContent}`);
  known = state;
  if (byId("alarms-dialog").open) fill();
}

function fill() {
  const list = byId("alarm-list");
  const focused = document.activeElement?.dataset?.key;
  list.replaceChildren(...shown.map(item));
  if (!shown.length) list.append(element("li", "quiet", phrase("no_alarms")));
  if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function item(alarm) {
  const words = findings[alarm.kind];
  const place = alarm.bay ? element("a", "", placeOf(alarm)) : element("span", "", placeOf(alarm));
  if (alarm.bay) place.href = `/bays/${encodeURIComponent(alarm.bay)}`;
  const head = element("p", "alarm-head", symbol(alarm.kind === "verification-failed" ? "failed" : symbolOf(alarm.kind)), place, element("strong", "", words.word));
  const made = element("li", alarm.taken_by ? "is-taken" : "", head, element("p", "", said(alarm.sayings) || words.meaning), element("p", "quiet", words.step));
  if (alarm.taken_by) made.append(element("p", "taken", phrase("taken_by", { name: alarm.taken_by })));
  else if ("mayTake" in byId("alarm-list").dataset) made.append(takeButton(alarm));
  return made;
}

const symbolOf = (kind) => (kind === "not-ready" ? "alarm" : kind);

function takeButton(alarm) {
  const button = element("button", "primary", phrase("take"));
  button.type = "button";
  button.dataset.key = `${alarm.bay} ${alarm.kind}`;
  button.addEventListener("click", async () => {
    button.disabled = true;
    const why = await give("/api/v1/alarms/taken", { bay: alarm.bay, sighting: alarm.sighting, kind: alarm.kind });
    if (why) {
      button.disabled = false;
      button.after(element("p", "wrong", phrase("failed_order", { detail: problemWords(why) })));
    }
  });
  return button;
}

export function showAge({ stale, seconds, at }) {
  byId("stale").hidden = !stale;
  document.body.classList.toggle("is-stale", stale);
  setText(byId("stale-text"), stale ? phrase("stale", { span: span(seconds) }) : "");
  setText(byId("live-word"), stale ? "" : phrase("live"));
  setText(byId("live-at"), at ? new Date(at).toTimeString().slice(0, 8) : "");
}

byId("alarms-show").addEventListener("click", () => {
  fill();
  byId("alarms-dialog").showModal();
});
