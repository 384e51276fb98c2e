// A deadline is told in the reader's own time and kept in UTC.
import { byId } from "./page.js";

byId("lot").addEventListener("submit", () => {
  const at = new Date(byId("deadline").value);
  byId("deadline_utc").value = Number.isNaN(at.getTime()) ? "" : `${at.toISOString().slice(0, 19)}Z`;
});
