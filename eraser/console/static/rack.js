// The rack wall: brings each bay up to date where it stands; nothing is moved.
import { showAge, showAlarms } from "./alarms.js";
import { listen } from "./live.js";
import { announce, byId, setAttribute, setText, sparkPoints, symbolAddress } from "./page.js";
import { brief, celsius, localMoment, number, rate, share, size, span } from "./quantities.js";
import { actorOf, isAtWork, labelOf, noteWords, phrase, stateWord, stepWord, whoWord } from "./words.js";

const SPARK_POINTS = 60;
const SPARK_MS = 1000;
const sparks = new Map(Object.entries(JSON.parse(byId("sparks").textContent)));
const cells = new Map();
let sparkedAt = 0;

for (const cell of document.querySelectorAll("[data-bay]")) {
  const fields = {};
  for (const field of cell.querySelectorAll("[data-f]")) fields[field.dataset.f] = field;
  cells.set(cell.dataset.bay, { cell, fields, line: cell.querySelector("polyline"), state: null, sighting: null });
}

function showBay(bay) {
  const known = cells.get(bay.name);
  if (!known) return false;
  const { cell, fields } = known;
  const works = isAtWork(bay);
  const actor = actorOf(bay);
  const classes = `bay is-${bay.state}${actor === "ops" && bay.alarms.length ? " is-troubled" : ""}`;
  if (cell.className !== classes) cell.className = classes;
  setAttribute(fields.symbol, "href", symbolAddress(bay.state));
  setText(fields.word, stateWord(bay));
  setText(fields.label, labelOf(bay));
  setText(fields.model, bay.drive ? bay.drive.model : "");
  setText(fields.note, noteWords(bay));
  setText(fields.step, stepWord(bay));
  setText(fields.who, whoWord(bay));
  setAttribute(fields.who, "data-actor", actor);
  setText(fields.heat, bay.temperature_celsius === null ? "" : celsius(bay.temperature_celsius));
  if (fields.work.hidden === works) fields.work.hidden = !works;
  if (fields.big.hidden !== works) fields.big.hidden = works;
  setAttribute(fields.big_symbol, "href", symbolAddress(bay.state));
  setText(fields.big_word, stateWord(bay));
  if (works) {
    fields.progress.max = Math.max(bay.total_bytes, 1);
    fields.progress.value = bay.done_bytes;
    setText(fields.share, share(bay.done_bytes, bay.total_bytes));
    setText(fields.rate, rate(bay.bytes_per_second));
    setText(fields.eta, brief(bay.eta_seconds));
  }
  const news = known.state && known.state !== bay.state ? phrase("became", { bay: bay.name, word: stateWord(bay) }) : "";
  if (known.sighting !== bay.sighting && known.sighting !== null) sparks.delete(bay.name);
  known.state = bay.state;
  known.sighting = bay.sighting;
  return news;
}

function showSparks(bays) {
  const now = performance.now();
  if (now - sparkedAt < SPARK_MS) return;
  sparkedAt = now;
  for (const [name, { line }] of cells) {
    const bay = bays.get(name);
    if (!bay || !isAtWork(bay)) continue;
    const rates = [...(sparks.get(name) ?? []).slice(1 - SPARK_POINTS), bay.bytes_per_second];
    sparks.set(name, rates);
    line.setAttribute("points", sparkPoints(rates));
  }
}

function showTotals(station) {
  const bays = [...station.bays.values()];
  setText(byId("total-work"), number(bays.filter(isAtWork).length));
  setText(byId("total-rate"), rate(bays.reduce((sum, bay) => sum + (isAtWork(bay) ? bay.bytes_per_second : 0), 0)));
  const { shift, lots } = station;
  if (!shift) return;
  setText(byId("total-passed"), number(shift.passed));
  setText(byId("total-failed"), number(shift.failed));
  setText(byId("total-bytes"), size(shift.erased_bytes));
  setText(byId("shift-since").firstElementChild ?? byId("shift-since"), localMoment(shift.since));
  setText(byId("shift-name"), shift.name);
  const lot = lastLot(lots);
  setText(byId("lot-name"), lot ? `${lot.lot || phrase("no_lot")} · ${phrase("done", lot)}` : phrase("no_lot"));
  setText(byId("lot-eta"), lot ? (lot.is_least && lot.eta_seconds !== null ? phrase("least", { span: span(lot.eta_seconds) }) : span(lot.eta_seconds)) : span(null));
}

// The one that will end last: whoever waits for the lot waits for that.
function lastLot(lots) {
  return lots.reduce((last, lot) => (!last || (lot.eta_seconds ?? -1) > (last.eta_seconds ?? -1) ? lot : last), null);
}

function show(station, changed) {
  const news = [];
  for (const name of changed) {
    const text = showBay(station.bays.get(name));
    if (text === false) return location.reload(); // another map: the shelf itself is another
    if (text) news.push(text);
  }
  showSparks(station.bays);
  showTotals(station);
  showAlarms(station.alarms ?? []);
  announce(news.slice(0, 4).join(". "));
}

listen(show, showAge);
