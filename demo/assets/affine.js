// A crop {x, y, side, angle}: a square of the photo, turned; positions in photo pixels.

export const turn = ({ angle }) => (angle * Math.PI) / 180;

// The map from the unit square to the photo, as a canvas takes it.
export function toPhoto(crop) {
  const a = crop.side * Math.cos(turn(crop));
  const b = crop.side * Math.sin(turn(crop));
  return new DOMMatrix([a, b, -b, a, crop.x - (a - b) / 2, crop.y - (a + b) / 2]);
}

export function map(matrix, [x, y]) {
  const point = matrix.transformPoint({ x, y });
  return [point.x, point.y];
}

export const corners = (crop) =>
  [
    [0, 0],
    [1, 0],
    [1, 1],
    [0, 1],
  ].map((corner) => map(toPhoto(crop), corner));

export const clamp = (value, least, most) => Math.max(least, Math.min(most, value));

// A crop that stays usable: its middle in the photo, its side neither a dot nor a multiple.
export function tidy({ x, y, side, angle }, { width, height }) {
  const round = (value, digits) => Number(value.toFixed(digits));
  return {
    x: round(clamp(x, 0, width), 2),
    y: round(clamp(y, 0, height), 2),
    side: round(clamp(side, 8, 2 * Math.max(width, height)), 2),
    angle: round(((((angle + 180) % 360) + 360) % 360) - 180, 2),
  };
}
