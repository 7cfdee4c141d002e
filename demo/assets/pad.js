// The square of the Translate tab: takes a drawing, or shows an example or an upload.
// Points are in the unit square, y downwards.
import { makeButton } from "./dom.js";
import { KEYS, makePen, trace } from "./pen.js";

const PAUSE = 700; // milliseconds after the pen is lifted: a sign may have several strokes
const SHORT = 250; // after an example is chosen
const MARKUP = `<div class="pad">
<div class="paper"><canvas tabindex="0" role="img"></canvas><p class="hint"></p></div>
<div class="examples" role="group" aria-label="examples to start from"></div></div>`;
const clamp = (value) => Math.max(0, Math.min(1, value));

export function mount(element, { props, trigger, watch }) {
  element.innerHTML = MARKUP;
  const [canvas, hint, examples] = ["canvas", ".hint", ".examples"].map((selector) =>
    element.querySelector(selector),
  );
  canvas.ariaLabel = `square to draw on: ${KEYS}`;
  const state = { pad: null, picture: null, timer: null };

  function place(event) {
    const box = canvas.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    const down = (event.clientY - box.top) / box.height;
    return [across, down].map((value) => Number(clamp(value).toFixed(4)));
  }

  function draw() {
    const side = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
    if (!side || !state.pad) return;
    if (pen.stroke) drop();
    const context = blank(canvas, side);
    if (state.picture) context.drawImage(state.picture, 0, 0, side, side);
    context.setTransform(side, 0, 0, side, 0, 0);
    ink(context, [...pen.strokes, pen.stroke], state.pad.pen);
    if (pen.tip) {
      context.fillStyle = "#d96120";
      context.beginPath();
      context.arc(...pen.tip, 0.02, 0, 7);
      context.fill();
    }
    hint.hidden = Boolean(pen.strokes.length || pen.stroke || state.picture);
  }

  // What was there gives way to the drawing.
  function drop() {
    state.picture = null;
    clearTimeout(state.timer);
  }

  // Not before the hand rests. What runs for the old drawing ends at once, so that its end cannot
  // overtake the start of the new run.
  function send(wait = PAUSE) {
    drop();
    trigger("edit");
    state.timer = setTimeout(() => trigger("input", { strokes: pen.strokes }), wait);
  }

  function choose(strokes) {
    drop();
    Object.assign(pen, { strokes: structuredClone(strokes), stroke: null });
    draw();
  }

  function example([sign, strokes]) {
    const button = makeButton("", () => {
      choose(strokes);
      send(SHORT);
    });
    button.setAttribute("aria-label", `${state.pad.one} ${sign}`);
    const context = blank(button.appendChild(document.createElement("canvas")), 64);
    context.setTransform(52, 0, 0, 52, 6, 6);
    ink(context, strokes, state.pad.pen);
    return button;
  }

  function load() {
    if (!props.value) return;
    state.pad = JSON.parse(props.value);
    const { one, glyphs, strokes, picture } = state.pad;
    hint.textContent = `draw a ${one} here`;
    examples.replaceChildren(...Object.entries(glyphs).map(example));
    choose(strokes);
    if (!picture) return;
    const image = Object.assign(new Image(), { src: picture });
    image.onload = () => {
      state.picture = image;
      draw();
    };
  }

  const pen = makePen(canvas, {
    ...{ place, clamp, draw, send, least: 0.008, middle: [0.5, 0.5] },
    step: () => [0.025, 0.025],
    ready: () => Boolean(state.pad),
  });
  new ResizeObserver(draw).observe(canvas);
  watch("value", load);
  load();
}

function blank(canvas, side) {
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = "#000";
  context.fillRect(0, 0, side, side);
  return context;
}

function ink(context, strokes, width) {
  Object.assign(context, { strokeStyle: "#fff", lineWidth: width });
  trace(context, strokes);
}
