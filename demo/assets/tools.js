// The toolbar of a photo, and its markup.
import { makeButton } from "./dom.js";

export const MARKUP = `<div class="photo">
<div class="tools" role="toolbar" aria-label="tools"></div>
<div class="sheet"><canvas tabindex="0" role="application"></canvas>
<div class="empty"><p>Drop a photo here, or paste one</p></div>
<input class="split" type="range" min="0" max="1" step="0.005" value="0.5" hidden
 aria-label="before on the left, after on the right"></div>
<p class="message" role="alert" hidden></p>
<div class="people" role="group" aria-label="faces that were found"></div>
<div class="masks" role="group" aria-label="ready masks"></div>
<div class="sees"><canvas width="64" height="64" role="img" aria-label="what the model sees"></canvas>
<span></span>
<details class="numbers"><summary>The square in numbers</summary>
<label>across <input name="x" type="number" step="any"></label>
<label>down <input name="y" type="number" step="any"></label>
<label>side <input name="side" type="number" step="any"></label>
<label>turn <input name="angle" type="number" step="any"></label></details></div>
<input type="file" accept="image/*,.heic,.heif" hidden aria-label="photo">
<input type="file" class="mask-file" accept="image/*" hidden aria-label="mask">
<p class="spoken" aria-live="polite"></p></div>`;

// Paths in a square of 24.
const ICONS = {
  open: "M4 19h16M12 15V4m-4 4 4-4 4 4",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 17a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7",
  brush: "M5 19c3 0 4-1 4-3l9-11 2 2-10 9c0 3-2 4-5 3z",
  eraser: "m5 15 8-9 6 6-7 7H8zM10 9l6 6",
  square: "M6 6h12v12H6zM12 6V3m-6 9H3m15 0h3m-9 6v3",
  hand: "M8 12V6m3 5V4m3 7V5m3 7V8M8 12l-2-2-1.5 1.5L9 20h6l2-5v-3",
  undo: "M8 5 4 9l4 4M4 9h10a5 5 0 0 1 0 10h-4",
  redo: "m16 5 4 4-4 4m4-4H10a5 5 0 0 0 0 10h4",
  clear: "M5 7h14M9 7V4h6v3m2 0-1 13H8L7 7",
  invert: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  grow: "M12 5v14M5 12h14",
  shrink: "M5 12h14",
  import: "M4 20h16M12 4v11m-4-4 4 4 4-4",
  export: "M4 20h16M12 15V4m-4 4 4-4 4 4",
  close: "m6 6 12 12M18 6 6 18",
  compare: "M12 3v18M4 6h5v12H4m16-12h-5v12h5",
  in: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13M15.5 15.5 21 21M7.5 10.5h6m-3-3v6",
  out: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13M15.5 15.5 21 21M7.5 10.5h6",
  fit: "M4 9V4h5m6 0h5v5m0 6v5h-5m-6 0H4v-5",
};

const PICTURE = [
  ["open", "another photo", ["open"]],
  ["camera", "from the camera", ["camera"]],
  ["close", "take the photo out of the box", ["remove"]],
];
const PAINTING = [
  ["brush", "brush (B)", ["tool", "brush"]],
  ["eraser", "eraser (E)", ["tool", "eraser"]],
];
const MOVING = [
  ["square", "move the square (C)", ["tool", "square"]],
  ["hand", "move the view (H)", ["tool", "hand"]],
];
const TIME = [
  ["undo", "undo (Ctrl+Z)", ["undo"]],
  ["redo", "redo (Ctrl+Shift+Z)", ["redo"]],
];
const MASK = [
  ["clear", "clear mask", ["clear"]],
  ["invert", "invert mask", ["invert"]],
  ["grow", "grow mask", ["grow"]],
  ["shrink", "shrink mask", ["shrink"]],
  ["import", "load a mask from a file", ["import"]],
  ["export", "save the mask as PNG", ["export"]],
];
const VIEW = [
  ["in", "zoom in", ["zoom", 1.5]],
  ["out", "zoom out", ["zoom", 1 / 1.5]],
  ["fit", "whole photo (0)", ["zoom", 0]],
];
const COMPARE = ["compare", "before | after", ["compare"]];
const KEYS = { b: ["tool", "brush"], e: ["tool", "eraser"], c: ["tool", "square"] };
Object.assign(KEYS, { h: ["tool", "hand"], 0: ["zoom", 0] });
const SIZES = [4, 100]; // radius of the brush where the square is 256 wide

export function makeToolbar(bar, row, { label, paint, presets, act }) {
  const buttons = {};

  function group(items) {
    const parts = items.map(([icon, words, action]) => {
      const button = makeButton("", () => act(...action));
      const path = `<path d="${ICONS[icon]}"/>`;
      button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true">${path}</svg>`;
      Object.assign(button, { title: words, ariaLabel: words });
      buttons[icon] = button;
      return button;
    });
    const box = Object.assign(document.createElement("div"), { className: "group" });
    box.append(...parts);
    return box;
  }

  const size = Object.assign(document.createElement("input"), { type: "range", value: 20 });
  Object.assign(size, { min: SIZES[0], max: SIZES[1], title: "size of the brush ([ and ])" });
  size.ariaLabel = "size of the brush";
  size.addEventListener("input", () => act("brush", Number(size.value)));
  const brushes = group(PAINTING);
  brushes.append(size);
  const painting = [brushes, group(MOVING), group(TIME), group([...VIEW, COMPARE]), group(MASK)];
  if (!paint) bar.append(Object.assign(document.createElement("b"), { textContent: label }));
  bar.append(group(PICTURE), ...(paint ? painting : [group(TIME)]));
  if (paint) {
    row.append(...Object.keys(presets).map((name) => makeButton(name, () => act("preset", name))));
  }

  // A ready mask, drawn once: opaque where it fills.
  const shapes = {};
  function shape(name) {
    if (shapes[name]) return shapes[name];
    const bits = presets[name];
    const side = Math.sqrt(bits.length);
    const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
    const context = canvas.getContext("2d");
    context.fillStyle = "#ff3355";
    for (let index = 0; index < bits.length; index += 1) {
      if (bits[index] === "1") context.fillRect(index % side, Math.floor(index / side), 1, 1);
    }
    shapes[name] = canvas;
    return canvas;
  }

  function key(pressed) {
    if (pressed === "[" || pressed === "]") {
      const factor = pressed === "]" ? 1.25 : 0.8;
      size.value = Math.max(SIZES[0], Math.min(SIZES[1], Math.round(size.value * factor)));
      act("brush", Number(size.value));
      return true;
    }
    const action = KEYS[pressed.toLowerCase()];
    if (action) act(...action);
    return Boolean(action);
  }

  function press(tool) {
    for (const one of ["brush", "eraser", "square", "hand"]) {
      buttons[one]?.setAttribute("aria-pressed", String(one === tool));
    }
  }

  function enable(able) {
    for (const [one, is] of Object.entries(able)) {
      if (buttons[one]) buttons[one].disabled = !is;
    }
  }

  enable({ undo: false, redo: false });
  return { shape, key, press, enable };
}
