// Plays a film: frames as pictures, one or more layers, a scrubber, play and pause.
// `element` is the component's root; `watch` fires when Python sends another film.
const state = {film: null, layer: null, frame: 0, timer: null};
const find = (selector) => element.querySelector(selector);

function show(frame) {
  const film = state.film;
  if (!film) return;
  state.frame = Math.max(0, Math.min(film.captions.length - 1, frame));
  const screen = find('.screen');
  screen.src = film.layers[state.layer][state.frame];
  screen.alt = film.captions[state.frame];
  find('input[type=range]').value = state.frame;
  find('.caption').textContent = film.captions[state.frame];
}

function pause() {
  clearInterval(state.timer);
  state.timer = null;
  const button = find('[data-do=play]');
  if (button) button.textContent = '▶ play';
}

function play() {
  const last = state.film.captions.length - 1;
  if (state.frame >= last) show(0);
  find('[data-do=play]').textContent = '❚❚ pause';
  const speed = Number(find('select').value);
  clearInterval(state.timer);
  state.timer = setInterval(() => {
    if (!find('.player')) return pause();
    show(state.frame + 1);
    if (state.frame >= last) pause();
  }, 110 / speed);
}

function choose(layer) {
  state.layer = layer;
  for (const button of element.querySelectorAll('[data-layer]')) {
    button.setAttribute('aria-pressed', String(button.dataset.layer === layer));
  }
}

// A film of the same length (a morph getting sharper) stays at the frame that is shown.
function load() {
  pause();
  const root = find('.player');
  if (!root) return;
  const length = state.film?.captions.length;
  state.film = JSON.parse(root.dataset.film);
  const layers = Object.keys(state.film.layers);
  choose(layers.includes(state.layer) ? state.layer : layers[0]);
  const same = state.film.captions.length === length;
  show(same ? state.frame : Number(root.dataset.start));
}

element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button || !state.film) return;
  if (button.dataset.layer) { choose(button.dataset.layer); show(state.frame); }
  if (button.dataset.do === 'play') state.timer ? pause() : play();
  if (button.dataset.do === 'back') { pause(); show(state.frame - 1); }
  if (button.dataset.do === 'forward') { pause(); show(state.frame + 1); }
});
element.addEventListener('input', (event) => {
  if (event.target.type === 'range') { pause(); show(Number(event.target.value)); }
});
element.addEventListener('change', (event) => {
  if (event.target.tagName === 'SELECT' && state.timer) play();
});
watch('value', load);
load();
