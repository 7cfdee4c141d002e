// A pen on a canvas, by mouse, finger or keys, in the caller's coordinates: `place(event)` maps a
// pointer to a point, `clamp` keeps a coordinate on the canvas, `step()` is a move by arrow key to
// the right and down, `least` the shortest line. `begin()` says whether a stroke may begin,
// `draw()` shows `strokes`, `stroke` (under way) and `tip` (of the keyboard), `send()` hands them on.
function makePen(canvas, {place, clamp, step, least, middle, begin, draw, send}) {
  const pen = {strokes: [], stroke: null, tip: null};

  function extend(to) {
    const from = pen.stroke.at(-1);
    if (Math.hypot(to[0] - from[0], to[1] - from[1]) > least) pen.stroke.push(to);
    draw();
  }

  pen.lift = () => {
    if (!pen.stroke) return;
    pen.strokes.push(pen.stroke);
    pen.stroke = null;
    draw();
    send();
  };
  pen.undo = () => { pen.stroke = null; pen.strokes.pop(); draw(); send(); };
  pen.clear = () => { pen.strokes = []; pen.stroke = null; draw(); send(); };

  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || !begin()) return;
    canvas.setPointerCapture(event.pointerId);
    pen.tip = null;
    pen.stroke = [place(event)];
    draw();
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!pen.stroke || !event.buttons) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) extend(place(each));
    extend(place(event));
  });
  for (const ending of ['pointerup', 'pointercancel']) canvas.addEventListener(ending, pen.lift);

  const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  pen.key = (event) => {
    const move = MOVES[event.key];
    pen.tip ??= middle;
    if (move) {
      const by = step();
      pen.tip = pen.tip.map((value, axis) => clamp(value + move[axis] * by[axis]));
      if (pen.stroke) pen.stroke.push(pen.tip);
      draw();
    } else if (event.key === ' ' && !event.repeat) {
      if (pen.stroke) pen.lift();
      else if (begin()) { pen.stroke = [pen.tip]; draw(); }
    } else if (event.key === 'Backspace') pen.undo();
    else return;
    event.preventDefault();
  };
  canvas.addEventListener('blur', () => { pen.tip = null; pen.lift(); draw(); });
  return pen;
}
