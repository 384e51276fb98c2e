// A bay in words, as `eraser/console/pages/bays.py` says them, from the tables that it put into the page.
const WORDS = JSON.parse(document.getElementById("words").textContent);
const SENTENCES = WORDS.sentences.map(([pattern, text]) => [new RegExp(`^(?:${pattern})$`), text]);

export const AT_WORK = new Set(["writing", "verifying", "paused"]);
export const findings = WORDS.findings;

/** A phrase with its `{names}` filled in. */
export function phrase(key, values = {}) {
  return WORDS.phrases[key].replace(/\{([a-z]+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** What the station said in English, in the page's language where it is known. */
export function said(sentence) {
  if (!sentence || !SENTENCES.length) return sentence;
  for (const [pattern, text] of SENTENCES) {
    const found = pattern.exec(sentence);
    if (found) return text.replace(/\{([0-9])\}/g, (_, number) => said(found[Number(number) + 1]));
  }
  const parts = sentence.split("; ");
  return parts.length > 1 ? parts.map(said).join("；") : sentence;
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
export const noteWords = (bay) => said([bay.reason, ...bay.alarm_reasons, bay.waits_for].find(Boolean) ?? "");
export const labelOf = (bay) => (bay.drive ? bay.drive.serial || bay.drive.model || bay.drive.path : "");
export const isAtWork = (bay) => AT_WORK.has(bay.state) && bay.total_bytes > 0;
