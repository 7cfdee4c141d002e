// A pen on a canvas, by mouse, finger or keys, in the caller's coordinates: `place(event)` maps a
// pointer to a point, `clamp` keeps a coordinate on the canvas, `step()` is a move by arrow key to
// the right and down, `least` the shortest line. `ready()` says whether the canvas takes a drawing,
// `draw()` shows `strokes`, `stroke` (under way) and `tip` (of the keyboard), `send()` hands them on.
import { ARROWS, makeButton } from "./dom.js";

export const KEYS = "arrow keys move the pen, space puts it down and lifts it, backspace undoes";

export function makePen(canvas, { place, clamp, step, least, middle, ready, draw, send }) {
  const pen = { strokes: [], stroke: null, tip: null };

  function extend(to) {
    const from = pen.stroke.at(-1);
    if (Math.hypot(to[0] - from[0], to[1] - from[1]) > least) pen.stroke.push(to);
    draw();
  }

  function begin(point) {
    pen.stroke = [point];
    draw();
  }

  function replace(strokes) {
    Object.assign(pen, { strokes, stroke: null });
    send();
    draw();
  }

  function lift() {
    if (pen.stroke) replace([...pen.strokes, pen.stroke]);
  }

  const undo = () => replace(pen.strokes.slice(0, -1));
  const clear = () => replace([]);

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !ready()) return;
    canvas.setPointerCapture(event.pointerId);
    pen.tip = null;
    begin(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pen.stroke || !event.buttons) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) extend(place(each));
    extend(place(event));
  });
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("blur", () => {
    pen.tip = null;
    lift();
    draw();
  });
  canvas.addEventListener("keydown", (event) => {
    if (!ready()) return;
    const move = ARROWS[event.key];
    pen.tip ??= middle;
    if (move) {
      const by = step();
      pen.tip = pen.tip.map((value, axis) => clamp(value + move[axis] * by[axis]));
      pen.stroke?.push(pen.tip);
      draw();
    } else if (event.key === " " && !event.repeat) pen.stroke ? lift() : begin(pen.tip);
    else if (event.key === "Backspace") undo();
    else return;
    event.preventDefault();
  });

  const buttons = Object.assign(document.createElement("div"), { className: "pen" });
  buttons.append(makeButton("undo", undo), makeButton("clear", clear));
  canvas.after(buttons);
  return pen;
}

// Strokes as lines of the context's width and colour.
export function trace(context, strokes) {
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    if (!stroke?.length) continue;
    context.beginPath();
    context.moveTo(...stroke[0]);
    for (const point of stroke) context.lineTo(...point);
    context.stroke();
  }
}
