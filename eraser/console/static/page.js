// Small things that pages with a live picture share.
export const byId = (id) => document.getElementById(id);

/** Writes only what is another: 96 bays twice a second must cost next to nothing. */
export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const SPRITE = document.querySelector(".brand use").getAttribute("href").split("#")[0];
export const symbolAddress = (name) => `${SPRITE}#${name}`;

export function symbol(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "symbol");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", symbolAddress(name));
  svg.append(use);
  return svg;
}

/** An element with a class, text and children; whatever comes from outside is text, never markup. */
export function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

let lastSpoken = "";
/** Says it to whoever cannot see. */
export function announce(text) {
  if (!text || text === lastSpoken) return;
  lastSpoken = text;
  byId("live").textContent = text;
}

/** Gives an order; resolves to null, or to the problem document that says why it was not done. */
export async function give(address, body) {
  const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  try {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json", "x-csrf-token": token },
      body: JSON.stringify(body),
    });
    if (answer.ok) return null;
    return await answer.json().catch(() => ({ code: "error" }));
  } catch {
    return { code: "no-station" };
  }
}

/** The same; resolves to an empty text, or to what the station says of it. */
export async function order(address, body) {
  const problem = await give(address, body);
  return problem ? problem.detail || problem.title || problem.code : "";
}

/** Points of a small curve, 60 wide and 20 high, the newest value at the right; as `pages/pictures.py` draws it. */
export function sparkPoints(rates) {
  if (!rates.length) return "";
  const most = Math.max(...rates, 1);
  const first = 60 - rates.length;
  return rates.map((rate, index) => `${first + index + 0.5},${(19 - (18 * rate) / most).toFixed(1)}`).join(" ");
}
