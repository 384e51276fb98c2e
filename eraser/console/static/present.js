// The customer's page: the picture stays fresh; where the next step is another, the page is loaded anew. The signature is drawn
// here and sent as points.
import { showLocalTimes } from "./base.js";
import { byId } from "./page.js";

const LOOK_MS = 2000;
const picture = byId("picture");

async function look() {
  try {
    const answer = await fetch(picture.dataset.address);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = page.body.firstElementChild;
    // A receipt is shown once: never load it away.
    if (part.dataset.step !== picture.dataset.step && !document.querySelector(".receipt")) return location.reload();
    if (part.outerHTML !== picture.firstElementChild?.outerHTML) picture.replaceChildren(part);
    showLocalTimes();
  } catch {
    // The next look may find the station again.
  }
}
setInterval(look, LOOK_MS);
look();

const canvas = byId("signature");
if (canvas) {
  const pen = canvas.getContext("2d");
  const strokes = [];
  let stroke = null;
  pen.lineWidth = 3;
  pen.lineCap = "round";
  pen.strokeStyle = "#111";
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [Math.round(((event.clientX - box.left) * canvas.width) / box.width), Math.round(((event.clientY - box.top) * canvas.height) / box.height)];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    stroke = [...place(event)];
    strokes.push(stroke);
    pen.beginPath();
    pen.moveTo(stroke[0], stroke[1]);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke || stroke.length > 2000) return;
    const [x, y] = place(event);
    stroke.push(x, y);
    pen.lineTo(x, y);
    pen.stroke();
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (stroke = null));
  byId("clear").addEventListener("click", () => {
    strokes.length = 0;
    pen.clearRect(0, 0, canvas.width, canvas.height);
  });
  byId("confirmation").addEventListener("submit", () => {
    byId("strokes").value = strokes.length ? JSON.stringify(strokes) : "";
  });
}
