// The square that the model sees, drawn on the photo: its edge moves, scales and turns it.
import { corners, map, toPhoto, turn } from "./affine.js";
import { ARROWS } from "./dom.js";

const REACH = 16; // CSS pixels around a handle
const KNOB = 26; // of the handle that turns, above the upper edge

function handles(crop, view) {
  const matrix = view.matrix();
  const points = corners(crop).map((corner) => map(matrix, corner));
  const up = [Math.sin(turn(crop)), -Math.cos(turn(crop))];
  const top = [0, 1].map((axis) => (points[0][axis] + points[1][axis]) / 2);
  const knob = top.map((value, axis) => value + KNOB * view.density() * up[axis]);
  return { points, top, knob };
}

// What a spot of the canvas takes hold of: "turn", "scale", "move" or nothing.
export function grip(crop, view, [x, y]) {
  const { points, knob } = handles(crop, view);
  const near = ([px, py]) => Math.hypot(x - px, y - py) < REACH * view.density();
  if (near(knob)) return "turn";
  if (points.some(near)) return "scale";
  const [u, v] = map(toPhoto(crop).inverse(), view.place([x, y]));
  return u > 0 && u < 1 && v > 0 && v < 1 ? "move" : null;
}

// The crop after a drag between two spots of the canvas.
export function dragged(crop, kind, view, from, to) {
  const [a, b] = [view.place(from), view.place(to)];
  const out = ([x, y]) => [x - crop.x, y - crop.y];
  if (kind === "move") return { ...crop, x: crop.x + b[0] - a[0], y: crop.y + b[1] - a[1] };
  if (kind === "scale") {
    return { ...crop, side: (crop.side * Math.hypot(...out(b))) / Math.hypot(...out(a)) };
  }
  const angle = (point) => (Math.atan2(out(point)[1], out(point)[0]) * 180) / Math.PI;
  return { ...crop, angle: crop.angle + angle(b) - angle(a) };
}

export function drawFrame(context, crop, view, size, active) {
  const { points, top: edge, knob } = handles(crop, view);
  const px = view.density();
  const outline = new Path2D();
  points.forEach((point, index) => {
    outline[index ? "lineTo" : "moveTo"](...point);
  });
  outline.closePath();
  const around = new Path2D();
  const [left, top] = map(view.matrix(), [0, 0]);
  around.rect(left, top, size.width * view.scale(), size.height * view.scale());
  around.addPath(outline);
  context.fillStyle = active ? "rgb(2 6 23 / .55)" : "rgb(2 6 23 / .28)";
  context.fill(around, "evenodd");
  for (const [style, line] of [
    ["rgb(2 6 23 / .6)", 3],
    ["#fff", 1.5],
  ]) {
    Object.assign(context, { strokeStyle: style, lineWidth: line * px });
    context.stroke(outline);
    if (!active) continue;
    context.beginPath();
    context.moveTo(...edge);
    context.lineTo(...knob);
    context.stroke();
  }
  if (!active) return;
  Object.assign(context, { fillStyle: "#fff", strokeStyle: "#0f172a", lineWidth: 1.5 * px });
  for (const [point, radius] of [...points.map((point) => [point, 6]), [knob, 8]]) {
    context.beginPath();
    context.arc(...point, radius * px, 0, 7);
    context.fill();
    context.stroke();
  }
}

// Of the arrow and other keys, a pixel of the model at a time; null for any other key.
export function nudged(crop, key, large) {
  const step = (crop.side / 64) * (large ? 8 : 1);
  const factor = large ? 1.1 : 1.02;
  if (ARROWS[key]) {
    const [dx, dy] = ARROWS[key];
    return { ...crop, x: crop.x + dx * step, y: crop.y + dy * step };
  }
  if (key === "+" || key === "=") return { ...crop, side: crop.side * factor };
  if (key === "-") return { ...crop, side: crop.side / factor };
  if (key === "," || key === "<") return { ...crop, angle: crop.angle - (large ? 10 : 1) };
  if (key === "." || key === ">") return { ...crop, angle: crop.angle + (large ? 10 : 1) };
  return null;
}
