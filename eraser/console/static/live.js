// The live picture: listens, merges what changed, says when nothing comes any more, and comes back by itself.
const STALE_MS = 4000;
const AGAIN_MS = 2000;

/** Calls `show(station, changed)` with the merged station and the names of the bays that are another, and `tell({ stale, since })`
 *  each second. */
export function listen(show, tell) {
  const bays = new Map();
  let heard = performance.now();
  let source = null;
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
    source.addEventListener("whole", take);
    source.addEventListener("changes", take);
    source.onerror = () => {
      // A broken line is mended by the browser; a refusal closes it for good, and then we ask again.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, AGAIN_MS);
    };
  }

  function look() {
    const silent = performance.now() - heard;
    tell({ stale: silent > STALE_MS, seconds: silent / 1000, at: station ? station.at : "" });
  }

  open();
  setInterval(look, 1000);
  // The line may hang without an error, behind a switch that was off: a new one is asked for.
  setInterval(() => {
    if (performance.now() - heard > 3 * STALE_MS && source.readyState !== EventSource.CLOSED) {
      source.close();
      open();
    }
  }, 3 * STALE_MS);
  addEventListener("pagehide", () => source.close());
}
