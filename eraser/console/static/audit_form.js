// A nonce by the reader's own browser, for who has no better way.
import { announce, byId } from "./page.js";

const button = byId("draw-nonce");
if (button) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    byId("nonce").value = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    announce(byId("nonce").value);
  });
}
