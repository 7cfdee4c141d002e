// The square of the Translate tab: takes a drawing, or shows an example or an upload.
// `element` is the component's root; `watch` fires when Python sends other examples.
// Points are in the unit square, y downwards.
const PAUSE = 700; // milliseconds after the pen is lifted: a sign may have several strokes
const SHORT = 250; // after an example is chosen
const find = (selector) => element.querySelector(selector);
const canvas = find('canvas');
const state = {pad: null, picture: null, timer: null};
const clamp = (value) => Math.max(0, Math.min(1, value));

function place(event) {
  const box = canvas.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  return [x, y].map((value) => Number(clamp(value).toFixed(4)));
}

function sheet(target, side) {
  if (target.width !== side) target.width = target.height = side;
  const context = target.getContext('2d');
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = '#000';
  context.fillRect(0, 0, side, side);
  return context;
}

function ink(context, strokes, width) {
  context.strokeStyle = context.fillStyle = '#fff';
  context.lineWidth = width;
  context.lineCap = context.lineJoin = 'round';
  for (const stroke of strokes) {
    if (!stroke.length) continue;
    context.beginPath();
    context.moveTo(...stroke[0]);
    for (const point of stroke) context.lineTo(...point);
    context.stroke();
  }
}

function draw() {
  const side = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
  if (!side || !state.pad) return;
  const context = sheet(canvas, side);
  if (state.picture) context.drawImage(state.picture, 0, 0, side, side);
  context.setTransform(side, 0, 0, side, 0, 0);
  ink(context, [...pen.strokes, pen.stroke ?? []], state.pad.pen);
  if (pen.tip) {
    context.fillStyle = '#d96120';
    context.beginPath();
    context.arc(...pen.tip, 0.02, 0, 7);
    context.fill();
  }
  find('.hint').hidden = Boolean(pen.strokes.length || pen.stroke || state.picture);
}

// Not before the hand rests. What runs for the old drawing ends at once, so that its end cannot
// overtake the start of the new run.
function send(wait = PAUSE) {
  trigger('edit');
  clearTimeout(state.timer);
  state.timer = setTimeout(() => trigger('input', {strokes: pen.strokes}), wait);
}

const pen = makePen(canvas, {
  place, clamp, draw, send, least: 0.008, middle: [0.5, 0.5], step: () => [0.025, 0.025],
  begin: () => { state.picture = null; clearTimeout(state.timer); return Boolean(state.pad); },
});
canvas.addEventListener('keydown', (event) => { if (state.pad) pen.key(event); });

function choose(strokes) {
  state.picture = null;
  pen.strokes = structuredClone(strokes);
  pen.stroke = null;
  draw();
}

function load() {
  if (!props.value) return;
  clearTimeout(state.timer);
  const pad = state.pad = JSON.parse(props.value);
  find('.hint').textContent = `draw a ${pad.one} here`;
  find('.examples').replaceChildren(...Object.entries(pad.glyphs).map(([sign, strokes]) => {
    const button = Object.assign(document.createElement('button'), {type: 'button'});
    const picture = button.appendChild(document.createElement('canvas'));
    button.setAttribute('aria-label', `${pad.one} ${sign}`);
    const context = sheet(picture, 64);
    context.setTransform(52, 0, 0, 52, 6, 6);
    ink(context, strokes, pad.pen);
    button.addEventListener('click', () => { choose(strokes); send(SHORT); });
    return button;
  }));
  choose(pad.strokes);
  if (pad.picture) {
    const picture = Object.assign(new Image(), {src: pad.picture});
    picture.onload = () => { state.picture = picture; draw(); };
  }
}

element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (!button || !state.pad) return;
  state.picture = null;
  pen[button.dataset.do]();
});
new ResizeObserver(draw).observe(canvas);
watch('value', load);
load();
