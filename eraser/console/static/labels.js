// A label is printed at once where the address says so, and then goes back to where the next drive is scanned.
import { byId } from "./page.js";

byId("print").addEventListener("click", () => window.print());
if (new URLSearchParams(location.search).get("print") === "1") {
  addEventListener("afterprint", () => location.assign(byId("back").href), { once: true });
  addEventListener("load", () => window.print());
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape") location.assign(byId("back").href);
});
