// The stage of the 2-D lab: plays particles from one download and takes a drawing. It plays the
// two ways of a pair as well (`film.ways`, by panel): then the clock is twice the bridge's time.
// `element` is the component's root, whose HTML never changes; `watch` fires when Python sends
// another film. Clock: 0 to 1 is stage 1 (bridge time t), 1 to 2 is stage 2 (1 - s / sigma, so
// that what moves evenly in space moves evenly in time).
const SECONDS = 7; // both stages at speed 1
const find = (selector) => element.querySelector(selector);
const canvases = {truth: find('.truth canvas'), run: find('.run-panel canvas')};
const pad = canvases.truth;
const calm = window.matchMedia('(prefers-reduced-motion: reduce)');
const state = {film: null, clock: 2, playing: false, last: 0, arrows: false, waiting: false};

// ---- The film

function decode(text, Type) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Type(bytes.buffer);
}

function load() {
  if (!props.value) return;
  const film = state.film = JSON.parse(props.value);
  if (film.ways) unpackWays(film.ways);
  else unpackTruth(film);
  state.waiting = film.play && !calm.matches;
  pause();
  seek(state.waiting ? 0 : 2);
  start();
}

function unpack(film) {
  for (const name of ['particles', 'truth', 'where', 'field', 'estimate', 'ground']) {
    if (film[name]) film[name] = decode(film[name], Int16Array);
  }
  for (const name of ['colours', 'truthColours']) {
    if (name in film) film[name] = order(decode(film[name], Uint8Array));
  }
}

function unpackWays(ways) {
  for (const [panel, name] of [['truth', '.truth .name'], ['run', '.run-panel .name']]) {
    unpack(ways[panel]);
    find(name).textContent = ways[panel].title;
  }
}

function unpackTruth(film) {
  unpack(film);
  find('.plane').classList.toggle('drawing', film.drawing);
  find('.truth .name').textContent = film.drawing ? 'draw here' : 'truth';
  find('.run-panel .name').textContent = film.title;
  find('.key .estimate').hidden = !film.estimate;
}

// Plays once the stage can be seen: a hidden tab would spend the film unseen.
function start() {
  if (state.waiting && canvases.run.clientWidth > 0) { state.waiting = false; play(); }
}

// Particles by colour, so that a frame changes its colour a few times, not two thousand.
function order(colours) {
  const groups = new Map();
  colours.forEach((colour, index) => {
    if (!groups.has(colour)) groups.set(colour, []);
    groups.get(colour).push(index);
  });
  return groups;
}

// The two frames around a clock and the share of the second.
function between(times, clock) {
  let next = times.findIndex((time) => time >= clock);
  if (next < 0) next = times.length - 1;
  const before = Math.max(next - 1, 0), span = times[next] - times[before];
  return [before, next, span > 0 ? Math.min(Math.max((clock - times[before]) / span, 0), 1) : 1];
}

// ---- Drawing

function paper(name) {
  const canvas = canvases[name], ratio = window.devicePixelRatio || 1;
  const side = Math.round(canvas.clientWidth * ratio);
  if (!side) return null;
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext('2d'), extent = state.film?.extent ?? 8;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, side, side);
  // Plane units from here on, y upwards.
  const unit = side / (2 * extent);
  context.setTransform(unit, 0, 0, -unit, side / 2, side / 2);
  return {context, pixel: ratio / unit};
}

function ink(name) { return getComputedStyle(find('.plane')).getPropertyValue(name).trim(); }

function dots({context, pixel}, groups, palette, at, size) {
  const side = size * pixel;
  for (const [colour, members] of groups) {
    context.fillStyle = palette ? palette[colour] : ink('--plane-faint');
    for (const index of members) {
      const point = at(index);
      context.fillRect(point[0] - side / 2, point[1] - side / 2, side, side);
    }
  }
}

// The exact law at the clock: six numbers a particle give its bridge through both stages.
function truthAt(film, clock) {
  const {truth, step, sigma, tau} = film, t = Math.min(clock, 1);
  const rest = sigma * Math.min(2 - clock, 1), sway = Math.sqrt(tau * t * (1 - t));
  const out = [0, 0]; // one for all: this runs sixty times a second
  return (index) => {
    const k = 6 * index;
    for (let axis = 0; axis < 2; axis += 1) {
      const end = truth[k + axis] * step + rest * truth[k + 2 + axis] * step;
      out[axis] = t * end + sway * truth[k + 4 + axis] * step;
    }
    return out;
  };
}

function particlesAt(film, clock) {
  const [before, next, share] = between(film.clock, clock);
  const {particles, step, count} = film, a = 2 * count * before, b = 2 * count * next;
  const out = [0, 0];
  return (index) => {
    for (let k = 2 * index, axis = 0; axis < 2; axis += 1) {
      out[axis] = step * ((1 - share) * particles[a + k + axis] + share * particles[b + k + axis]);
    }
    return out;
  };
}

function arrows({context, pixel}, film, field, colour) {
  if (!field) return;
  const [before, next, share] = between(film.fieldClock, state.clock), count = film.where.length;
  context.strokeStyle = colour;
  context.lineWidth = 1.3 * pixel;
  context.beginPath();
  for (let k = 0; k < count; k += 2) {
    const x = film.where[k] * film.step, y = film.where[k + 1] * film.step;
    const [u, v] = [0, 1].map((axis) => film.step * (
      (1 - share) * field[count * before + k + axis] + share * field[count * next + k + axis]));
    context.moveTo(x, y);
    context.lineTo(x + u, y + v);
    for (const side of [-1, 1]) { // the head
      context.moveTo(x + u, y + v);
      context.lineTo(x + 0.68 * u - side * 0.2 * v, y + 0.68 * v + side * 0.2 * u);
    }
  }
  context.stroke();
}

function lines({context, pixel}) {
  context.lineWidth = 3 * pixel;
  context.lineCap = context.lineJoin = 'round';
  context.strokeStyle = context.fillStyle = ink('--plane-pen');
  for (const stroke of [...pen.strokes, pen.stroke ?? []]) {
    if (!stroke.length) continue;
    context.beginPath();
    context.moveTo(...stroke[0]);
    for (const point of stroke) context.lineTo(...point);
    context.stroke();
  }
  if (pen.tip) {
    context.beginPath();
    context.arc(...pen.tip, 6 * pixel, 0, 7);
    pen.stroke ? context.fill() : context.stroke();
  }
}

function drawWays(film) {
  for (const [name, way] of Object.entries(film.ways)) {
    const sheet = paper(name), {ground} = way;
    if (!sheet) continue;
    const all = [[0, Array(film.count).keys()]];
    dots(sheet, all, null, (k) => [film.step * ground[2 * k], film.step * ground[2 * k + 1]], 2.4);
    dots(sheet, way.colours, way.palette, particlesAt({...film, ...way}, state.clock), 2.4);
  }
}

function draw() {
  const film = state.film;
  if (!film) return;
  if (film.ways) return drawWays(film);
  const left = paper('truth'), right = paper('run');
  if (left) {
    if (!film.drawing) dots(left, film.truthColours, film.palette, truthAt(film, state.clock), 2.4);
    if (film.drawing) lines(left);
    if (state.arrows) arrows(left, film, film.field, ink('--plane-truth'));
  }
  if (!right) return;
  dots(right, film.truthColours, null, truthAt(film, 2), 2.4);
  if (film.clock.length) {
    dots(right, film.colours, film.palette, particlesAt(film, state.clock), 2.4);
  }
  if (state.arrows) {
    arrows(right, film, film.field, ink('--plane-truth'));
    arrows(right, film, film.estimate, ink('--plane-estimate'));
  }
}

function caption() {
  const film = state.film, clock = state.clock;
  if (film.ways) return `t = ${(clock / 2).toFixed(2)}`;
  if (!film.clock.length) return film.hint;
  if (clock === end() && clock < 2) return 'the run left every bound and ends here';
  if (clock === 0) return 'stage 1, t = 0.00: every particle starts at the same point';
  if (clock === 1) return `end of stage 1: q_sigma, the data plus noise of deviation ${film.sigma}`;
  if (clock === 2) return 'end of stage 2: the data';
  if (clock < 1) return `stage 1, t = ${clock.toFixed(2)}`;
  const rest = 2 - clock;
  return `stage 2, t = ${(1 - rest * rest).toFixed(2)}, noise level ${(film.sigma * rest).toFixed(2)}`;
}

// ---- Time

// A diverged run has no states up to the end.
function end() { return state.film.clock.at(-1) ?? 2; }

function seek(clock) {
  state.clock = Math.max(0, Math.min(end(), clock));
  find('input[type=range]').value = state.clock;
  const text = caption();
  find('.caption').textContent = text;
  find('input[type=range]').setAttribute('aria-valuetext', text);
  draw();
}

function pause() {
  state.playing = false;
  find('[data-do=play]').textContent = '▶ play';
  find('.caption').setAttribute('aria-live', 'polite');
}

function play() {
  if (!state.film?.clock.length) return;
  if (state.clock >= end()) seek(0);
  Object.assign(state, {playing: true, last: performance.now()});
  find('[data-do=play]').textContent = '❚❚ pause';
  find('.caption').setAttribute('aria-live', 'off'); // not sixty times a second
  requestAnimationFrame(tick);
}

function tick(now) {
  if (!state.playing || !element.isConnected) return;
  const speed = Number(find('select').value), {clock, last} = state;
  state.last = now;
  // A tab in the background gets no frames: no leap when it returns.
  const later = clock + Math.min(Math.max(now - last, 0), 250) / 1000 * 2 * speed / SECONDS;
  seek(clock < 1 && later > 1 && !state.film.ways ? 1 : later);
  if (state.clock >= end()) pause();
  else requestAnimationFrame(tick);
}

// One frame of the run on or back; the states of the engine, not those in between.
function jump(direction) {
  pause();
  const times = state.film?.clock ?? [], slack = 1e-6;
  const next = direction > 0 ? times.find((time) => time > state.clock + slack)
    : times.findLast((time) => time < state.clock - slack);
  if (next !== undefined) seek(next);
}

// ---- The pen

function clamp(value) {
  const extent = state.film.extent;
  return Math.max(-extent, Math.min(extent, value));
}

function place(event) {
  const box = pad.getBoundingClientRect(), extent = state.film.extent;
  const x = ((event.clientX - box.left) / box.width) * 2 - 1;
  const y = 1 - ((event.clientY - box.top) / box.height) * 2;
  return [x, y].map((value) => Number(clamp(value * extent).toFixed(3)));
}

const pen = makePen(pad, {
  place, clamp, draw, least: 0.06, middle: [0, 0],
  step: () => [state.film.extent / 40, -state.film.extent / 40],
  begin: () => Boolean(state.film?.drawing),
  send: () => trigger('input', {strokes: pen.strokes}),
});

element.addEventListener('keydown', (event) => {
  if (event.target.tagName !== 'CANVAS' || !state.film) return;
  if (event.target === pad && state.film.drawing) return pen.key(event);
  if (event.key === ' ') state.playing ? pause() : play();
  else if (event.key === 'ArrowLeft') jump(-1);
  else if (event.key === 'ArrowRight') jump(1);
  else return;
  event.preventDefault();
});

// ---- Buttons

const ACTIONS = {
  play: () => (state.playing ? pause() : play()),
  back: () => jump(-1),
  forward: () => jump(1),
  undo: pen.undo,
  clear: pen.clear,
  arrows: (button) => {
    state.arrows = !state.arrows;
    button.setAttribute('aria-pressed', String(state.arrows));
    find('.key').hidden = !state.arrows;
    draw();
  },
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (button && state.film) ACTIONS[button.dataset.do](button);
});
find('input[type=range]').addEventListener('input', (event) => {
  if (!state.film) return;
  pause();
  seek(Number(event.target.value));
});
new ResizeObserver(() => { draw(); start(); }).observe(canvases.run);
watch('value', load);
load();
