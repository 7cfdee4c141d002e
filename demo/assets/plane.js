// The screen of particles in the plane: the truth and a run side by side, or the two ways of a
// pair; the square of the truth takes a drawing. Clock: 0 to 1 is stage 1 (bridge time t), 1 to 2
// is stage 2 (1 - s / sigma, so that what moves evenly in space moves evenly in time); that of a
// pair is twice the bridge's time.
import { makeButton } from "./dom.js";
import { arrows, decode, dots, exact, group, moving } from "./particles.js";
import { KEYS, makePen, trace } from "./pen.js";

const SECONDS = 7; // both stages at speed 1
const PANEL = `<figcaption class="name"></figcaption><canvas tabindex="0" role="img"></canvas>`;
const MARKUP = `<div class="plane"><div class="panels">
<figure class="panel truth">${PANEL}</figure><figure class="panel run">${PANEL}</figure></div>
<p class="key" hidden><span class="exact">→ velocity, truth</span>
<span class="estimate">→ estimate</span></p></div>`;

export function plane(stage, extras, { trigger }, refresh) {
  stage.innerHTML = MARKUP;
  const root = stage.firstElementChild;
  const find = (selector) => root.querySelector(selector);
  const canvases = { truth: find(".truth canvas"), run: find(".run canvas") };
  const pad = canvases.truth;
  let film = null;
  let layers = null; // by panel: what draws, first to last
  let withArrows = false;
  const toggle = makeButton("velocity arrows", () => {
    withArrows = !withArrows;
    toggle.setAttribute("aria-pressed", String(withArrows));
    find(".key").hidden = !withArrows;
    refresh();
  });
  toggle.setAttribute("aria-pressed", "false");
  extras.append(toggle);

  // ---- The film

  function load(next) {
    film = next;
    root.classList.toggle("both", Boolean(film.ways));
    root.classList.toggle("drawing", Boolean(film.drawing));
    layers = film.ways ? ofWays() : ofTruth();
    find(".key .estimate").hidden = !film.estimate;
    toggle.hidden = Boolean(film.ways);
    if (film.strokes) Object.assign(pen, { strokes: film.strokes, stroke: null });
    return { clock: film.track.length, play: film.play };
  }

  function name(panel, title, label) {
    find(`.${panel} .name`).textContent = title;
    canvases[panel].ariaLabel = label ?? `${title}: particles; space plays, arrow keys step`;
  }

  function ofWays() {
    return Object.fromEntries(
      Object.entries(film.ways).map(([panel, way]) => {
        name(panel, way.title);
        const ground = moving(decode(way.ground), [0], film.count, film.step);
        return [panel, [dots(ground, [[0, everyone()]]), run(way)]];
      }),
    );
  }

  function ofTruth() {
    const groups = group(decode(film.truthColours, Uint8Array));
    const truth = exact(decode(film.truth), film);
    const flow = film.field ? [arrow("field", "truth")] : [];
    const estimate = film.estimate ? [arrow("estimate", "estimate")] : [];
    if (film.drawing) name("truth", "draw here", `your distribution: ${KEYS}`);
    else name("truth", "truth");
    name("run", film.title);
    return {
      truth: [film.drawing ? drawing : dots(truth, groups, film.palette), ...flow],
      run: [dots(() => truth(2), groups), run(film), ...flow, ...estimate],
    };
  }

  const everyone = () => [...Array(film.count).keys()];

  function run({ particles, colours, palette }) {
    if (!film.times.length) return () => {};
    const at = moving(decode(particles), film.times, film.count, film.step);
    return dots(at, group(decode(colours, Uint8Array)), palette);
  }

  function arrow(field, colour) {
    const times = film.fieldClock;
    const draw = arrows(decode(film[field]), decode(film.where), times, film.step, colour);
    return (sheet, clock) => withArrows && draw(sheet, clock);
  }

  // ---- Drawing

  function sheet(canvas) {
    const ratio = window.devicePixelRatio || 1;
    const side = Math.round(canvas.clientWidth * ratio);
    if (!side) return null;
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, side, side);
    const unit = side / (2 * film.extent); // plane units from here on, y upwards
    context.setTransform(unit, 0, 0, -unit, side / 2, side / 2);
    const style = getComputedStyle(root);
    const ink = (colour) => style.getPropertyValue(`--plane-${colour}`);
    return { context, pixel: ratio / unit, ink };
  }

  function show(clock) {
    for (const [panel, drawn] of Object.entries(layers)) {
      const paper = sheet(canvases[panel]);
      if (paper) for (const draw of drawn) draw(paper, clock);
    }
  }

  function caption(clock) {
    if (film.ways) return `t = ${(clock / 2).toFixed(2)}`;
    if (!film.times.length) return film.hint;
    if (clock === film.times.at(-1) && clock < 2) return "the run left every bound and ends here";
    if (clock === 0) return "stage 1, t = 0.00: every particle starts at the same point";
    if (clock === 1)
      return `end of stage 1: the data deep in noise (standard deviation ${film.sigma})`;
    if (clock === 2) return "end of stage 2: the data";
    if (clock < 1) return `stage 1, t = ${clock.toFixed(2)}`;
    const rest = 2 - clock;
    const noise = (film.sigma * rest).toFixed(2);
    return `stage 2, t = ${(1 - rest * rest).toFixed(2)}, noise level ${noise}`;
  }

  // ---- The pen

  const clamp = (value) => Math.max(-film.extent, Math.min(film.extent, value));

  function place(event) {
    const box = pad.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 2 - 1;
    const y = 1 - ((event.clientY - box.top) / box.height) * 2;
    return [x, y].map((value) => Number(clamp(value * film.extent).toFixed(3)));
  }

  const pen = makePen(pad, {
    ...{ place, clamp, draw: refresh, least: 0.06, middle: [0, 0] },
    step: () => [film.extent / 40, -film.extent / 40],
    ready: () => Boolean(film?.drawing),
    send: () => trigger("input", { strokes: pen.strokes }),
  });

  function drawing({ context, pixel, ink }) {
    context.lineWidth = 3 * pixel;
    context.strokeStyle = context.fillStyle = ink("pen");
    trace(context, [...pen.strokes, pen.stroke]);
    if (!pen.tip) return;
    context.beginPath();
    context.arc(...pen.tip, 6 * pixel, 0, 7);
    pen.stroke ? context.fill() : context.stroke();
  }

  return { load, show, caption, whole: false, rate: 2 / SECONDS };
}
