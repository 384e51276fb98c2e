// The live picture: listens, merges what changed, says when nothing comes any more, and comes back by itself.
const STALE_MS = 4000;
const HUNG_MS = 5000;
const AGAIN_MS = 2000;

/** Calls `show(station, changed)` with the merged station and the names of the bays that are another, and `tell({ stale, since })`
 *  each second. */
export function listen(show, tell) {
  const bays = new Map();
  let heard = performance.now();
  let source = null;
  let opened = 0;
  let changed = new Set();
  let station = null;
  let isDrawing = false;

  function draw() {
    isDrawing = false;
    const names = changed;
    changed = new Set();
    if (station) show({ ...station, bays }, names);
  }

  function take(event) {
    const { bays: lines, ...rest } = JSON.parse(event.data);
    if (event.type === "whole") {
      const names = new Set(lines.map((line) => line.name));
      for (const name of bays.keys()) if (!names.has(name)) bays.delete(name);
    }
    for (const line of lines) {
      bays.set(line.name, { ...bays.get(line.name), ...line });
      changed.add(line.name);
    }
    station = rest;
    heard = performance.now();
    if (!isDrawing) {
      isDrawing = true;
      // Not in a picture that nobody sees: then no frame comes.
      if (document.hidden) setTimeout(draw, 0);
      else requestAnimationFrame(draw);
    }
    look();
  }

  function open() {
    source = new EventSource("/api/v1/events");
    opened = performance.now();
    source.addEventListener("whole", take);
    source.addEventListener("changes", take);
    source.onerror = again;
  }

  // Not left to the browser: it waits ever longer, and does not say that whoever looks is signed out.
  function again() {
    source.close();
    setTimeout(async () => {
      try {
        const answer = await fetch("/api/v1/alarms");
        if (answer.status === 401 || answer.status === 403) return location.reload();
        if (answer.ok) return open();
      } catch {
        // Nobody answers yet.
      }
      again();
    }, AGAIN_MS);
  }

  function look() {
    const silent = performance.now() - heard;
    // A line may hang without an error, behind a switch that was off: then another is asked for.
    if (Math.min(silent, performance.now() - opened) > HUNG_MS && source.readyState === EventSource.OPEN) again();
    tell({ stale: silent > STALE_MS, seconds: silent / 1000, at: station ? station.at : "" });
  }

  open();
  setInterval(look, 1000);
  addEventListener("pagehide", () => source.close());
}
