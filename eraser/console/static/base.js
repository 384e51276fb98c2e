// On every page: times in the reader's own zone.
import { localMoment } from "./quantities.js";

export function showLocalTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const text = localMoment(time.dateTime);
    if (text && time.textContent !== text) time.textContent = text;
  }
}

showLocalTimes();
