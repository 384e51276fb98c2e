// The public check: a file is dropped or chosen, sent, and the answer shown. Nothing is kept, here or there.
import { showLocalTimes } from "./base.js";
import { byId } from "./page.js";

const MAX_BYTES = 4 * 1024 * 1024;
const zone = byId("drop");
const result = byId("result");
const words = (name) => byId(name).content.textContent;

function say(text) {
  byId("wrong").textContent = text;
  byId("wrong").hidden = !text;
}

async function check(file) {
  say("");
  if (file.size > MAX_BYTES) return say(words("too-large"));
  result.textContent = words("looking");
  result.setAttribute("aria-busy", "true");
  const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  try {
    const answer = await fetch("/check", {
      method: "POST",
      headers: { "content-type": "application/octet-stream", "x-csrf-token": token },
      body: file,
    });
    if (!answer.ok) throw answer.status;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    result.replaceChildren(...page.body.children);
    showLocalTimes();
    result.focus();
  } catch (status) {
    result.replaceChildren();
    say(words(status === 413 ? "too-large" : status === 429 ? "too-often" : "no-answer"));
  } finally {
    result.removeAttribute("aria-busy");
  }
}

byId("file").addEventListener("change", (event) => {
  if (event.target.files.length) check(event.target.files[0]);
  event.target.value = "";
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    zone.classList.add("is-over");
  });
}
document.addEventListener("dragleave", () => zone.classList.remove("is-over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("is-over");
  if (event.dataTransfer.files.length) check(event.dataTransfer.files[0]);
});
