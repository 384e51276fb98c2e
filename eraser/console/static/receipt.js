// The receipt is printed by the button alone: nobody is to lose it to a printer that is off.
import { byId } from "./page.js";

byId("print")?.addEventListener("click", () => window.print());
