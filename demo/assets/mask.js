// What is to be filled: a canvas over the photo with a pixel for each of the photo's (fewer where
// there are very many, more where there are few), opaque where it is painted.
import { toPhoto } from "./affine.js";

const MOST = 16e6; // pixels that a canvas may have on a phone
const LEAST = 512; // of the shorter side, for a smooth outline on a small picture
const COLOUR = "#ff3355";

function sheet(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  return canvas.getContext("2d", { willReadFrequently: true });
}

export function picture(address) {
  return new Promise((resolve, reject) => {
    const image = Object.assign(new Image(), { src: address });
    image.onload = () => resolve(image);
    image.onerror = reject;
  });
}

export function makeMask(width, height) {
  const most = Math.sqrt(MOST / (width * height));
  const scale = Math.min(most, Math.max(1, LEAST / Math.min(width, height)));
  const ink = sheet(Math.round(width * scale), Math.round(height * scale));
  const { canvas } = ink;
  let bounds = null; // of all that may be painted: [left, top, right, bottom]

  function reach(left, top, right, bottom) {
    const [l, t, r, b] = bounds ?? [canvas.width, canvas.height, 0, 0];
    bounds = [
      Math.max(0, Math.min(l, Math.floor(left))),
      Math.max(0, Math.min(t, Math.floor(top))),
      Math.min(canvas.width, Math.max(r, Math.ceil(right))),
      Math.min(canvas.height, Math.max(b, Math.ceil(bottom))),
    ];
    if (bounds[0] >= bounds[2] || bounds[1] >= bounds[3]) bounds = null;
  }

  // A copy of what is painted, with a margin, and its place.
  function lifted(margin) {
    const [left, top, right, bottom] = bounds;
    const copy = sheet(right - left + 2 * margin, bottom - top + 2 * margin);
    copy.drawImage(canvas, margin - left, margin - top);
    return { copy, left: left - margin, top: top - margin };
  }

  function clear() {
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.clearRect(0, 0, canvas.width, canvas.height);
    bounds = null;
  }

  function stroke([x0, y0], [x1, y1], radius, erase) {
    ink.setTransform(scale, 0, 0, scale, 0, 0);
    ink.globalCompositeOperation = erase ? "destination-out" : "source-over";
    Object.assign(ink, { strokeStyle: COLOUR, lineWidth: 2 * radius, lineCap: "round" });
    ink.beginPath();
    ink.moveTo(x0, y0);
    ink.lineTo(x1 + 1e-3, y1); // a line of no length is not drawn
    ink.stroke();
    ink.globalCompositeOperation = "source-over";
    if (erase) return;
    const [xs, ys] = [[x0, x1].sort((a, b) => a - b), [y0, y1].sort((a, b) => a - b)];
    const edges = [xs[0] - radius, ys[0] - radius, xs[1] + radius, ys[1] + radius];
    reach(...edges.map((edge) => edge * scale));
  }

  // Draw in the unit square of a crop.
  function within(crop, draw, erase = false) {
    const place = toPhoto(crop);
    ink.setTransform(new DOMMatrix().scale(scale).multiply(place));
    ink.globalCompositeOperation = erase ? "destination-out" : "source-over";
    ink.fillStyle = COLOUR;
    draw(ink);
    ink.globalCompositeOperation = "source-over";
    const half = 0.7072 * crop.side;
    const edges = [crop.x - half, crop.y - half, crop.x + half, crop.y + half];
    if (!erase) reach(...edges.map((edge) => edge * scale));
  }

  // Within the crop: beyond it nothing can be filled.
  function invert(crop) {
    const old = sheet(canvas.width, canvas.height);
    old.drawImage(canvas, 0, 0);
    clear();
    within(crop, (context) => context.fillRect(0, 0, 1, 1));
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.globalCompositeOperation = "destination-out";
    ink.drawImage(old.canvas, 0, 0);
    ink.globalCompositeOperation = "source-over";
  }

  // A copy swells by some pixels of the canvas, in three steps so that thin lines leave no gap.
  function swell(copy, by) {
    const source = sheet(copy.canvas.width, copy.canvas.height);
    for (let step = 0; step < 3; step += 1) {
      source.clearRect(0, 0, source.canvas.width, source.canvas.height);
      source.drawImage(copy.canvas, 0, 0);
      for (let k = 0; k < 8; k += 1) {
        const angle = (k * Math.PI) / 4;
        copy.drawImage(source.canvas, (by / 3) * Math.cos(angle), (by / 3) * Math.sin(angle));
      }
    }
  }

  // By a length of the photo; a negative one shrinks.
  function grow(length) {
    if (!bounds) return;
    const by = Math.max(1.5, Math.abs(length) * scale);
    const { copy, left, top } = lifted(Math.ceil(by) + 2);
    ink.setTransform(1, 0, 0, 1, 0, 0);
    if (length > 0) {
      swell(copy, by);
      ink.drawImage(copy.canvas, left, top);
      reach(left, top, left + copy.canvas.width, top + copy.canvas.height);
      return;
    }
    copy.globalCompositeOperation = "source-out"; // what is not painted
    Object.assign(copy, { fillStyle: COLOUR }).fillRect(
      0,
      0,
      copy.canvas.width,
      copy.canvas.height,
    );
    copy.globalCompositeOperation = "source-over";
    swell(copy, by);
    ink.globalCompositeOperation = "destination-out";
    ink.drawImage(copy.canvas, left, top);
    ink.globalCompositeOperation = "source-over";
  }

  // The part that is painted, as a PNG; null if nothing is.
  function encode() {
    if (!bounds) return null;
    const [left, top, right, bottom] = bounds;
    const { data } = ink.getImageData(left, top, right - left, bottom - top);
    const across = right - left;
    let [l, t, r, b] = [across, bottom - top, -1, -1];
    for (let index = 3, pixel = 0; index < data.length; index += 4, pixel += 1) {
      if (data[index] < 128) continue;
      const column = pixel % across;
      const row = (pixel - column) / across;
      if (column < l) l = column;
      if (column > r) r = column;
      if (row < t) t = row;
      if (row > b) b = row;
    }
    bounds = r < 0 ? null : [left + l, top + t, left + r + 1, top + b + 1];
    if (!bounds) return null;
    const { copy, ...place } = lifted(0);
    const png = copy.canvas.toDataURL("image/png").split(",")[1];
    return { width: canvas.width, height: canvas.height, ...place, png };
  }

  async function restore(encoded) {
    const image = encoded && (await picture(`data:image/png;base64,${encoded.png}`));
    clear();
    if (!image) return;
    const [across, down] = [canvas.width / encoded.width, canvas.height / encoded.height];
    ink.setTransform(across, 0, 0, down, 0, 0);
    ink.imageSmoothingEnabled = false; // pixel for pixel
    ink.drawImage(image, encoded.left, encoded.top);
    ink.imageSmoothingEnabled = true;
    ink.setTransform(1, 0, 0, 1, 0, 0);
    const edges = [encoded.left, encoded.top];
    edges.push(encoded.left + image.width, encoded.top + image.height);
    reach(...edges.map((edge, index) => edge * (index % 2 ? down : across)));
  }

  // White on black, at the photo's size.
  function exported() {
    const out = sheet(width, height);
    out.drawImage(canvas, 0, 0, width, height);
    out.globalCompositeOperation = "source-in";
    Object.assign(out, { fillStyle: "#fff" }).fillRect(0, 0, width, height);
    out.globalCompositeOperation = "destination-over";
    Object.assign(out, { fillStyle: "#000" }).fillRect(0, 0, width, height);
    return out.canvas;
  }

  // From a picture: what is light, or opaque where it has transparency, in a square of the photo.
  function imported(image, place) {
    const fit = sheet(image.naturalWidth, image.naturalHeight);
    fit.drawImage(image, 0, 0);
    const pixels = fit.getImageData(0, 0, fit.canvas.width, fit.canvas.height);
    const { data } = pixels;
    for (let index = 0; index < data.length; index += 4) {
      const light = 0.3 * data[index] + 0.59 * data[index + 1] + 0.11 * data[index + 2];
      data[index + 3] = light >= 128 && data[index + 3] >= 128 ? 255 : 0;
    }
    fit.putImageData(pixels, 0, 0);
    fit.globalCompositeOperation = "source-in";
    Object.assign(fit, { fillStyle: COLOUR }).fillRect(0, 0, fit.canvas.width, fit.canvas.height);
    clear();
    if (place) return within(place, (context) => context.drawImage(fit.canvas, 0, 0, 1, 1));
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.drawImage(fit.canvas, 0, 0, canvas.width, canvas.height);
    return reach(0, 0, canvas.width, canvas.height);
  }

  const painted = ([x, y]) =>
    ink.getImageData(Math.floor(x * scale), Math.floor(y * scale), 1, 1).data[3] >= 128;
  return {
    ...{
      canvas,
      clear,
      stroke,
      within,
      invert,
      grow,
      encode,
      restore,
      exported,
      imported,
      painted,
    },
    empty: () => !bounds,
  };
}
