// A lot at intake: labels are scanned and drives received by the keyboard alone, lists imported, the picture kept fresh.
import { showLocalTimes } from "./base.js";
import { announce, byId, element, order } from "./page.js";

const { words, reasons, lot, may_receive: mayReceive } = JSON.parse(byId("words").textContent);
const here = `/lots/${encodeURIComponent(lot)}`;
const api = `/api/v1/lots/${encodeURIComponent(lot)}`;
const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
const filled = (name, values = {}) => (words[name] ?? name).replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
const LOOK_MS = 3000;

// ---- the picture

async function refresh() {
  try {
    const answer = await fetch(`${here}/picture`);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.body.innerHTML !== refresh.last && !byId("picture").contains(document.activeElement)) {
      refresh.last = page.body.innerHTML;
      byId("picture").replaceChildren(...page.body.children);
      showLocalTimes();
    }
  } catch {
    // The next look may find the station again.
  }
}
setInterval(refresh, LOOK_MS);

async function post(address, body, type = "application/json") {
  try {
    const answer = await fetch(address, { method: "POST", headers: { "content-type": type, "x-csrf-token": token }, body });
    const told = await answer.json().catch(() => ({}));
    return answer.ok ? { told } : { wrong: told.detail || `HTTP ${answer.status}` };
  } catch (error) {
    return { wrong: String(error.message ?? error) };
  }
}

// ---- scanning

if (mayReceive) {
  const field = byId("scan");
  const result = byId("scan-result");
  let codes = [];
  let ready = "";

  const say = (look, ...children) => {
    const box = element("div", `notice ${look}`, element("div", "", ...children));
    result.replaceChildren(box);
    announce(box.textContent);
  };
  const line = (text) => element("p", "", text);
  const button = (text, act, className = "") => {
    const made = element("button", className, text);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  };

  function begin() {
    codes = [];
    ready = "";
    field.value = "";
    field.focus();
  }

  async function receive(serial) {
    ready = "";
    const wrong = await order("/api/v1/custody", { drive: serial, event: { kind: "received", lot_id: lot } });
    if (wrong) return say("bad", line(filled("failed", { detail: wrong })));
    begin();
    if (byId("print-labels").checked) {
      const question = new URLSearchParams({ lot, serial, print: "1", back: here });
      location.assign(`/labels/intake?${question}`);
      return;
    }
    say("good", line(filled("received", { serial })));
    refresh();
  }

  // The characters at which the label may have been misread stand out.
  function marked(serial, places) {
    const text = element("span", "mono big");
    [...serial].forEach((character, place) => text.append(places.includes(place) ? element("mark", "", character) : character));
    return text;
  }

  function show(found) {
    const [drive] = found.drives;
    const place = drive?.bay ? ` ${filled("there", { bay: drive.bay })}` : "";
    switch (found.finding) {
      case "known":
        if (drive.has_arrived) say("good", element("p", "mono big", found.value), line(filled("arrived") + place));
        else if (drive.is_expected) {
          ready = found.value;
          say("good", element("p", "mono big", found.value), line(filled("expected") + place), button(words.receive, () => receive(found.value), "primary"));
        } else unexpected(found.value, filled("unexpected") + place);
        codes = [];
        break;
      case "new":
        unexpected(found.value, `${filled("new")} ${filled("unexpected")}`);
        codes = [];
        break;
      case "alike":
        say("", line(filled("alike")), ...found.drives.map((item) => element("p", "", marked(item.serial, item.differs_at), " ", button(words.take, () => decide(item.serial)))), button(words.none, begin));
        codes = [];
        break;
      case "ambiguous":
        say("bad", line(filled("ambiguous")), ...found.drives.map((item) => element("p", "mono", `${item.serial} ${item.bay}`)));
        codes = [];
        break;
      default:
        say("", line(filled("not-a-name")), line(found.codes.map((code) => `${code.value} (${filled(code.kind)})`).join(", ")));
    }
  }

  function unexpected(serial, text) {
    say("bad", element("p", "mono big", serial), line(text), button(words["receive-anyway"], () => receive(serial)));
  }

  async function decide(serial) {
    const { told, wrong } = await post(`${api}/scan`, JSON.stringify({ codes: [serial] }));
    if (wrong) say("bad", line(filled("failed", { detail: wrong })));
    else show(told);
    field.focus();
  }

  async function take(scan) {
    if (!scan) {
      if (ready) await receive(ready);
      return;
    }
    ready = "";
    codes = [...codes, scan].slice(-20);
    const { told, wrong } = await post(`${api}/scan`, JSON.stringify({ codes }));
    if (wrong) say("bad", line(filled("failed", { detail: wrong })));
    else show(told);
  }

  // A scanner is faster than the answers: each scan has its turn, lest an old answer hides a newer one.
  let turn = Promise.resolve();
  byId("scan-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const scan = field.value.trim();
    field.value = "";
    turn = turn.then(() => take(scan));
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      result.replaceChildren();
      begin();
    }
  });
  const kept = "eraser-print-labels";
  byId("print-labels").checked = localStorage.getItem(kept) === "1";
  byId("print-labels").addEventListener("change", (event) => {
    localStorage.setItem(kept, event.target.checked ? "1" : "");
    field.focus();
  });
}

// ---- where it is taken in

async function change(address, body) {
  const wrong = await order(address, body);
  if (!wrong) return location.reload();
  byId("open-wrong").textContent = filled("failed", { detail: wrong });
  byId("open-wrong").hidden = false;
}
byId("open-form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  change(`${api}/open`, { bays: byId("bays").value.split(/[\s,]+/).filter(Boolean) });
});
byId("close-lot")?.addEventListener("click", () => change(`${api}/close`, {}));

// ---- the list of expected drives

if (byId("list")) {
  const result = byId("import-result");
  let file = null;

  const problems = (list) =>
    element("ul", "", ...list.slice(0, 20).map((item) => element("li", "", filled("line", { line: item.line, subject: item.subject, reason: (reasons[item.code] ?? item.code).replace("{other}", item.other_line) }))), ...(list.length > 20 ? [element("li", "", filled("more", { count: list.length - 20 }))] : []));

  async function read(apply) {
    const question = new URLSearchParams(apply ? { apply: "true" } : {});
    if (byId("column").value) question.set("column", byId("column").value);
    const { told, wrong } = await post(`${api}/expected/import?${question}`, file, "text/csv");
    if (wrong) return result.replaceChildren(element("p", "notice bad", filled("failed", { detail: wrong })));
    if (told.revision) {
      result.replaceChildren(element("p", "notice good", filled("taken", { count: told.drives })));
      return refresh();
    }
    const parts = [element("p", "", filled("drives", { count: told.drives, column: told.column, encoding: told.encoding.toUpperCase() })), element("p", "mono", told.first_serials.join("  "))];
    if (told.warnings.length) parts.push(element("div", "notice", element("div", "", element("p", "", filled("warnings", { count: told.warnings.length })), problems(told.warnings))));
    if (told.errors.length) parts.push(element("div", "notice bad", element("div", "", element("p", "", filled("errors", { count: told.errors.length })), problems(told.errors))));
    else {
      const take = element("button", "primary", filled("apply", { count: told.drives }));
      take.type = "button";
      take.addEventListener("click", () => read(true));
      parts.push(take);
    }
    result.replaceChildren(...parts);
  }

  byId("list").addEventListener("change", (event) => {
    file = event.target.files[0] ?? null;
    if (file) read(false);
  });
  byId("column").addEventListener("change", () => file && read(false));
  byId("import-form").addEventListener("submit", (event) => event.preventDefault());
}
