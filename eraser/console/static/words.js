// A bay in words, as `eraser/console/pages/bays.py` says them, from the tables that it put into the page.
import { rate } from "./quantities.js";

const WORDS = JSON.parse(document.getElementById("words").textContent);

export const AT_WORK = new Set(["writing", "verifying", "paused"]);
export const findings = WORDS.findings;

/** A phrase with its `{names}` filled in. */
export function phrase(key, values = {}) {
  return WORDS.phrases[key].replace(/\{([a-z]+)\}/g, (whole, name) => String(values[name] ?? whole));
}

const VALUES = {
  rate,
  seconds: (value) => String(Math.round(value)),
  limit: (value) => String(Number(value.toPrecision(6))),
  problem: (value) => WORDS.problems[value] ?? value,
};

/** What the station says, by its code, in the page's language. */
function sentence({ code, values }) {
  return WORDS.sayings[code].replace(/\{(\w+)(?::(\w+))?\}/g, (_, name, kind) => {
    const value = values[name];
    if (typeof value === "object") return sentence(value);
    return VALUES[kind]?.(value) ?? String(value);
  });
}

const SEPARATOR = document.documentElement.lang.startsWith("zh") ? "；" : "; ";
export const said = (sayings) => sayings.map(sentence).join(SEPARATOR);

/** Why an order was not carried out: an answer's problem document, in the page's language. */
export function problemWords(problem) {
  if (document.documentElement.lang.startsWith("en") && problem.detail) return problem.detail;
  return WORDS.problems[problem.reason] ?? WORDS.problems[problem.code] ?? WORDS.problems.error;
}

export function stateWord(bay) {
  const word = WORDS.states[bay.state].word;
  return bay.state === "writing" && bay.passes > 1 ? `${word} ${bay.pass_number}/${bay.passes}` : word;
}

export function actorOf(bay) {
  if (bay.alarms.includes("stuck") || bay.alarms.includes("hot")) return "ops";
  if (bay.state === "paused" && !bay.pauses.includes("person")) return "nobody";
  return WORDS.states[bay.state].actor;
}

export const whoWord = (bay) => WORDS.actors[actorOf(bay)];
export const stepWord = (bay) => WORDS.states[bay.state].step;
export const noteWords = (bay) => said([bay.reasons, bay.alarm_sayings.slice(0, 1), bay.waiting].find((list) => list.length) ?? []);
export const isResumable = (bay) => bay.waiting.some(({ code }) => code === "job-cancelled" || code === "certificate-due");
export const labelOf = (bay) => (bay.drive ? bay.drive.serial || bay.drive.model || bay.drive.path : "");
export const isAtWork = (bay) => AT_WORK.has(bay.state) && bay.total_bytes > 0;
