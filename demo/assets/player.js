// Plays a film: pictures, or particles in the plane. The transport is here: play, step, speed, loop,
// a track in two colours, keys, captions. What is shown is a screen's: see pictures.js, plane.js.
//
// A film has `track` ({length, split, ends}: where its clock ends, where its second colour begins,
// texts below), `returns` (whether a loop goes back the way it came) and `times`, the moments of its states. A screen makes its elements in `stage` and
// has `load(film)`, which says where to begin and whether to play; `show(clock)`; `caption(clock)`;
// `whole`, whether there is nothing between two states; and `rate`, clock units a second.
import { pictures } from "./pictures.js";
import { plane } from "./plane.js";

const MARKUP = `<div class="player">
<div class="screen"></div>
<div class="track"><input type="range" min="0" aria-label="time">
<div class="ends"><span></span><span class="middle"></span><span></span></div></div>
<div class="buttons"><button type="button" data-do="back" aria-label="one step back">◂</button>
<button type="button" data-do="play"></button>
<button type="button" data-do="forward" aria-label="one step on">▸</button>
<button type="button" data-do="loop" title="play for ever" aria-label="play for ever"
aria-pressed="false">↻</button>
<label>speed <select><option value="0.25">¼×</option><option value="0.5">½×</option>
<option value="1" selected>1×</option><option value="2">2×</option></select></label>
<span class="extras"></span></div>
<p class="caption" aria-live="polite"></p></div>`;
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

export function mount(element, api) {
  let player = null;

  function load() {
    if (!api.props.value) {
      player?.pause();
      element.replaceChildren();
      player = null;
      return;
    }
    const film = JSON.parse(api.props.value);
    player ??= makePlayer(element, film.layers ? pictures : plane, api);
    player.load(film);
  }

  api.watch("value", load);
  load();
}

function makePlayer(element, makeScreen, api) {
  element.innerHTML = MARKUP;
  const root = element.firstElementChild;
  const find = (selector) => root.querySelector(selector);
  const [stage, track, range, caption] = [".screen", ".track", "input", ".caption"].map(find);
  const screen = makeScreen(stage, find(".extras"), api, () => seek(state.clock));
  const state = {
    film: null,
    clock: 0,
    playing: false,
    last: 0,
    waiting: false,
    loop: false,
    way: 1,
  };
  const shown = () => (screen.whole ? Math.floor(state.clock) : state.clock);
  const end = () => state.film.times.at(-1) ?? state.film.track.length; // a run may break off

  function load(film) {
    if (!film.keeps) pause();
    state.film = film;
    const { length, split, ends } = film.track;
    Object.assign(range, { max: length, step: screen.whole ? 1 : length / 1000 });
    track.style.setProperty("--split", `${(100 * (split ?? length)) / length}%`);
    ends.forEach((text, index) => {
      find(".ends").children[index].textContent = text;
    });
    const { clock, play } = screen.load(film);
    state.waiting = play && !calm.matches;
    seek(state.waiting ? 0 : clock);
    start();
  }

  // Plays once the stage can be seen: a hidden tab would spend the film unseen.
  function start() {
    if (!state.waiting || !stage.clientWidth) return;
    state.waiting = false;
    play();
  }

  function seek(clock) {
    state.clock = Math.max(0, Math.min(end(), clock));
    screen.show(shown());
    range.value = shown();
    caption.textContent = screen.caption(shown());
    range.setAttribute("aria-valuetext", caption.textContent);
  }

  function pause() {
    Object.assign(state, { playing: false, way: 1 });
    find("[data-do=play]").textContent = "▶ play";
    caption.setAttribute("aria-live", "polite");
  }

  function play() {
    if (!state.film.times.length) return;
    if (shown() >= end()) seek(0);
    Object.assign(state, { playing: true, last: performance.now() });
    find("[data-do=play]").textContent = "❚❚ pause";
    caption.setAttribute("aria-live", "off"); // not sixty times a second
    requestAnimationFrame(tick);
  }

  function tick(now) {
    if (!state.playing || !root.isConnected) return;
    // A tab in the background gets no frames: no leap when it returns.
    const seconds = Math.min(Math.max(now - state.last, 0), 250) / 1000;
    const { split } = state.film.track;
    const later = state.clock + state.way * seconds * screen.rate * Number(find("select").value);
    state.last = now;
    seek(state.clock < split && later > split ? split : later); // the border is seen
    const over = state.way > 0 ? state.clock >= end() : state.clock <= 0;
    if (over && !state.loop) return pause();
    if (over && state.film.returns) state.way = -state.way;
    else if (over) seek(0);
    requestAnimationFrame(tick);
  }

  function loop() {
    state.loop = !state.loop;
    find("[data-do=loop]").ariaPressed = String(state.loop);
  }

  // To the next state of the engine, not one in between.
  function step(direction) {
    pause();
    const { times } = state.film;
    const slack = 1e-6;
    const next =
      direction > 0
        ? times.find((time) => time > shown() + slack)
        : times.findLast((time) => time < shown() - slack);
    if (next !== undefined) seek(next);
  }

  const toggle = () => (state.playing ? pause() : play());
  const back = () => step(-1);
  const forward = () => step(1);
  const jump = (clock) => () => {
    pause();
    seek(clock());
  };
  const ACTIONS = { play: toggle, back, forward, loop };
  const KEYS = { " ": toggle, ArrowLeft: back, ArrowRight: forward, l: loop };
  Object.assign(KEYS, { Home: jump(() => 0), End: jump(end) });

  root.addEventListener("click", (event) => {
    ACTIONS[event.target.closest("[data-do]")?.dataset.do]?.();
  });
  root.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || !event.target.matches("canvas, img, input")) return;
    if (!(event.key in KEYS)) return;
    KEYS[event.key]();
    event.preventDefault();
  });
  range.addEventListener("input", () => {
    pause();
    seek(Number(range.value));
  });
  new ResizeObserver(() => {
    screen.show(shown());
    start();
  }).observe(stage);
  pause();
  return { load, pause };
}
