// What of a photo a canvas shows: it fits at first, and can be zoomed and moved by wheel (with
// Ctrl), by two fingers, or by the caller.
import { clamp } from "./affine.js";

export function makeView(canvas, redraw) {
  const view = { scale: 1, x: 0, y: 0 }; // canvas pixels a photo pixel; the photo's corner
  let photo = null;
  let fitted = true;

  const density = () => window.devicePixelRatio || 1;

  function least() {
    return Math.min(canvas.width / photo.width, canvas.height / photo.height);
  }

  function keep() {
    const free = (length, size) => {
      const rest = length - size;
      return rest > 0 ? [rest / 2, rest / 2] : [rest, 0];
    };
    view.x = clamp(view.x, ...free(canvas.width, photo.width * view.scale));
    view.y = clamp(view.y, ...free(canvas.height, photo.height * view.scale));
    redraw();
  }

  function fit() {
    if (!photo) return;
    fitted = true;
    view.scale = least();
    keep();
  }

  function zoom(factor, [x, y] = [canvas.width / 2, canvas.height / 2]) {
    if (!photo) return;
    const scale = clamp(view.scale * factor, least(), Math.max(least(), 24 * density()));
    const real = scale / view.scale;
    fitted = scale <= least() * 1.001;
    Object.assign(view, { scale, x: x - real * (x - view.x), y: y - real * (y - view.y) });
    keep();
  }

  function pan(dx, dy) {
    Object.assign(view, { x: view.x + dx, y: view.y + dy });
    keep();
  }

  // A square of the photo in the middle, with some room around it.
  function focus(crop) {
    const scale = Math.min(canvas.width, canvas.height) / (1.7 * crop.side);
    if (scale <= least() * 1.3) return fit();
    Object.assign(view, { scale, x: canvas.width / 2 - scale * crop.x });
    view.y = canvas.height / 2 - scale * crop.y;
    fitted = false;
    return keep();
  }

  // Of a pointer, in canvas pixels.
  function spot(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((value) => value * density());
  }

  function show(size) {
    photo = size;
    fit();
  }

  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!photo || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 200), spot(event));
    },
    { passive: false },
  );
  new ResizeObserver(() => {
    const side = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.round(n * density()));
    if (!side[0] || (side[0] === canvas.width && side[1] === canvas.height)) return;
    [canvas.width, canvas.height] = side;
    if (photo) fitted ? fit() : keep();
    else redraw();
  }).observe(canvas);

  return {
    ...{ fit, zoom, pan, focus, spot, show, density },
    matrix: () => new DOMMatrix([view.scale, 0, 0, view.scale, view.x, view.y]),
    place: ([x, y]) => [(x - view.x) / view.scale, (y - view.y) / view.scale],
    scale: () => view.scale,
  };
}

// Pointers on a canvas: one draws (`begin`, `move`, `end`, with positions in canvas pixels), two
// pinch (`pinch` by a factor, a turn in degrees, and the middle before and after; `pinched` in the
// end). A finger begins only when it moves or leaves, for a second one may follow.
export function listen(canvas, view, { ready, begin, move, end, cancel, pinch, pinched }) {
  const down = new Map();
  let drawing = false;
  let pinching = false;
  let waiting = null;

  const pair = () => {
    const [[ax, ay], [bx, by]] = [...down.values()];
    const angle = (Math.atan2(by - ay, bx - ax) * 180) / Math.PI;
    return { middle: [(ax + bx) / 2, (ay + by) / 2], reach: Math.hypot(bx - ax, by - ay), angle };
  };

  function start() {
    if (!waiting) return;
    drawing = true;
    begin(...waiting);
    waiting = null;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!ready() || (event.pointerType === "mouse" && event.button > 1)) return;
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, view.spot(event));
    if (down.size === 1) {
      waiting = [view.spot(event), event];
      if (event.pointerType !== "touch") start();
    } else if (down.size === 2) {
      waiting = null;
      if (drawing) cancel();
      drawing = false;
      pinching = true;
    }
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!down.has(event.pointerId)) return;
    const to = view.spot(event);
    if (down.size === 2) {
      const before = pair();
      down.set(event.pointerId, to);
      const after = pair();
      pinch(after.reach / before.reach, after.angle - before.angle, before.middle, after.middle);
      return;
    }
    const from = down.get(event.pointerId);
    if (waiting && Math.hypot(to[0] - from[0], to[1] - from[1]) < 4 * view.density()) return;
    start();
    down.set(event.pointerId, to);
    if (!drawing) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) move(view.spot(each));
    move(to);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (!down.delete(event.pointerId)) return;
      if (name === "pointerup") start();
      waiting = null;
      if (drawing) end();
      else if (pinching) pinched();
      drawing = false;
      pinching = false;
    });
  }
}
