// Particles and arrows of a film in the plane. Numbers come as base64 of 16-bit whole numbers,
// times `step`. What draws is made once a film, and then gets a sheet ({context, pixel, ink}, in
// plane units) and the clock.

const SIDE = 2.4; // pixels of a particle

export function decode(text, Type = Int16Array) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Type(bytes.buffer);
}

// Particles by colour, so that a frame changes its colour a few times, not two thousand.
export function group(colours) {
  return Map.groupBy(colours.keys(), (index) => colours[index]);
}

// The two moments around a clock and the share of the second.
function between(times, clock) {
  let next = times.findIndex((time) => time >= clock);
  if (next < 0) next = times.length - 1;
  const before = Math.max(next - 1, 0);
  const span = times[next] - times[before];
  const share = span > 0 ? Math.min(Math.max((clock - times[before]) / span, 0), 1) : 1;
  return [before, next, share];
}

// ---- Where a particle is: by clock, then by index; one result for all, at sixty frames a second.

// States count * 2 numbers each, at their times; points at rest have a single one.
export function moving(states, times, count, step) {
  const place = [0, 0];
  return (clock) => {
    const [before, next, share] = between(times, clock);
    return (index) => {
      for (const axis of [0, 1]) {
        const from = states[2 * (count * before + index) + axis];
        const to = states[2 * (count * next + index) + axis];
        place[axis] = step * (from + share * (to - from));
      }
      return place;
    };
  };
}

// The exact law: six numbers a particle give its bridge through both stages.
export function exact(bridges, { sigma, tau, step }) {
  const place = [0, 0];
  return (clock) => {
    const t = Math.min(clock, 1);
    const rest = sigma * Math.min(2 - clock, 1);
    const sway = Math.sqrt(tau * t * (1 - t));
    return (index) => {
      for (const axis of [0, 1]) {
        const k = 6 * index + axis;
        place[axis] = step * (t * (bridges[k] + rest * bridges[k + 2]) + sway * bridges[k + 4]);
      }
      return place;
    };
  };
}

// ---- What draws

export function dots(places, groups, palette) {
  return ({ context, pixel, ink }, clock) => {
    const at = places(clock);
    const side = SIDE * pixel;
    for (const [colour, members] of groups) {
      context.fillStyle = palette ? palette[colour] : ink("faint");
      for (const index of members) {
        const [x, y] = at(index);
        context.fillRect(x - side / 2, y - side / 2, side, side);
      }
    }
  };
}

export function arrows(field, where, times, step, colour) {
  const count = where.length / 2;
  const at = moving(field, times, count, step);
  const foot = moving(where, [0], count, step)(0);
  return ({ context, pixel, ink }, clock) => {
    const vector = at(clock);
    context.strokeStyle = ink(colour);
    context.lineWidth = 1.3 * pixel;
    context.beginPath();
    for (let index = 0; index < count; index += 1) {
      const [x, y] = foot(index);
      const [u, v] = vector(index);
      context.moveTo(x, y);
      context.lineTo(x + u, y + v);
      for (const side of [-1, 1]) {
        context.moveTo(x + u, y + v);
        context.lineTo(x + 0.68 * u - side * 0.2 * v, y + 0.68 * v + side * 0.2 * u);
      }
    }
    context.stroke();
  };
}
