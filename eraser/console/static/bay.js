// One bay: live figures, the drive's strip, orders with their consequences said before.
import { showAge, showAlarms } from "./alarms.js";
import { showLocalTimes } from "./base.js";
import { listen } from "./live.js";
import { announce, byId, element, give, setAttribute, setText, symbolAddress } from "./page.js";
import { celsius, number, rate, share, size, span } from "./quantities.js";
import { isAtWork, isResumable, labelOf, noteWords, phrase, problemWords, stateWord, stepWord, whoWord } from "./words.js";

const RECORD_MS = 5000;
const page = byId("bay");
const NAME = page.dataset.bay;
let bay = null;
let recordOf = "";
let recordAt = performance.now();
let isFetching = false;

// ---- live figures

function showBay() {
  const works = isAtWork(bay);
  byId("bay-top").className = `bay-top is-${bay.state}`;
  byId("b-progress-box").className = `progress big is-${bay.state}`;
  setAttribute(byId("b-symbol"), "href", symbolAddress(bay.state));
  setText(byId("b-word"), stateWord(bay));
  setText(byId("b-who"), whoWord(bay));
  setText(byId("b-step"), stepWord(bay));
  const note = noteWords(bay);
  setText(byId("b-note"), note);
  byId("b-note-box").hidden = !note;
  byId("b-progress").max = Math.max(bay.total_bytes, 1);
  const passed = bay.state === "passed";
  byId("b-progress").value = passed ? byId("b-progress").max : bay.done_bytes;
  setText(byId("b-share"), passed ? share(1, 1) : share(bay.done_bytes, bay.total_bytes));
  setText(byId("b-pass"), bay.passes ? `${passed ? bay.passes : bay.pass_number} / ${bay.passes}` : "–");
  setText(byId("b-rate"), rate(bay.bytes_per_second));
  setText(byId("b-eta"), span(bay.eta_seconds));
  setText(byId("b-written"), size(bay.written_bytes));
  setText(byId("b-verified"), size(bay.verified_bytes));
  setText(byId("b-bad"), size(bay.bad_bytes));
  setText(byId("b-mismatched"), number(bay.mismatched_sectors));
  setText(byId("b-retries"), number(bay.retries));
  setText(byId("b-heat"), celsius(bay.temperature_celsius));
  if (works) showFront();
  allowOrders();
}

function showFront() {
  const strip = document.querySelector(".strip");
  const front = strip.querySelector(".front");
  const width = bay.total_bytes ? Math.round((10000 * bay.done_bytes) / bay.total_bytes) / 10 : 0;
  setAttribute(front, "width", String(width));
  setAttribute(front, "x", String(strip.dataset.reverse === "true" ? 1000 - width : 0));
}

/** Plan, events and bad places come from the ledger: anew when something has happened, and now and then. */
async function refreshRecord() {
  const now = `${bay.sighting} ${bay.job_id} ${bay.state} ${bay.stage} ${bay.pass_number} ${bay.bad_bytes} ${bay.mismatched_sectors}`;
  const isDue = now !== recordOf || (isAtWork(bay) && performance.now() - recordAt > RECORD_MS);
  if (!isDue || isFetching) return;
  isFetching = true;
  try {
    const answer = await fetch(`/bays/${encodeURIComponent(NAME)}/record`);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    replace("strip-box", fresh);
    replace("record", fresh);
    showLocalTimes();
    recordOf = now;
  } catch {
    // The next event tries again; the bar says that the picture is old.
  } finally {
    recordAt = performance.now();
    isFetching = false;
  }
}

function replace(id, fresh) {
  const scrolled = byId(id).querySelector(".events")?.scrollTop ?? 0;
  byId(id).replaceChildren(...fresh.getElementById(id).childNodes);
  const events = byId(id).querySelector(".events");
  if (events) events.scrollTop = scrolled;
}

function show(station, changed) {
  showAlarms(station.alarms ?? []);
  const before = bay;
  bay = station.bays.get(NAME);
  if (!bay) return location.reload();
  if (changed.has(NAME)) showBay();
  if (before && before.state !== bay.state) announce(phrase("became", { bay: NAME, word: stateWord(bay) }));
  refreshRecord();
}

// ---- orders

const buttons = [...document.querySelectorAll("#orders [data-order]")];

function mayGive(button) {
  if (!bay) return !button.disabled;
  const name = button.dataset.order;
  if (name === "pause" && bay.state === "paused") return !bay.pauses.includes("person");
  if (name === "resume" && bay.state === "asking") return isResumable(bay);
  return button.dataset.states.split(" ").includes(bay.state);
}

function allowOrders() {
  for (const button of buttons) {
    const may = mayGive(button);
    if (button.disabled === may) button.disabled = !may;
  }
}

function ask(button) {
  // What is ordered is meant for the drive that was seen when the dialog was opened, not for whatever is there at the click.
  const sighting = bay ? bay.sighting : page.dataset.sighting;
  const dialog = byId("order-dialog");
  setText(byId("order-title"), `${button.textContent} · ${phrase("bay", { bay: NAME })}`);
  setText(byId("order-drive"), bay ? labelOf(bay) : "");
  setText(byId("order-consequence"), button.dataset.consequence);
  setText(byId("order-yes"), button.textContent);
  byId("order-yes").className = button.classList.contains("grave") ? "danger" : "primary";
  byId("order-standard-field").hidden = button.dataset.order !== "start";
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue === "yes") giveOrder(button, sighting);
    button.focus();
  };
  dialog.showModal();
}

async function giveOrder(button, sighting) {
  const name = button.dataset.order;
  const standard = byId("order-standard").value;
  const body = name === "maintenance" ? { on: button.dataset.on === "true" } : name === "start" && standard ? { sighting, standard } : { sighting };
  const why = await give(`/api/v1/bays/${encodeURIComponent(NAME)}/${name}`, body);
  const answer = byId("order-answer");
  answer.replaceChildren(element("span", why ? "wrong" : "", why ? phrase("failed_order", { detail: problemWords(why) }) : phrase("accepted")));
}

for (const button of buttons) button.addEventListener("click", () => ask(button));

listen(show, showAge);
