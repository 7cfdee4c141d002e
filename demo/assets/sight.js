// What the canvas of a photo shows: the photo with its edits, the fill that is looked at, the mask,
// the square; and beside it what the model sees. `state` is that of the component.
import { toPhoto } from "./affine.js";
import { drawFrame } from "./frame.js";

export const CELLS = 16; // a side, of the grid that keys paint

export function makeSight(canvas, model, state) {
  const sees = model.getContext("2d");
  let view = null;

  let due = false;
  function redraw() {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      draw();
    });
  }

  function drawPhoto(context, edited) {
    context.imageSmoothingQuality = "high";
    context.imageSmoothingEnabled = view.scale() < 8 || state.size.width < 256;
    context.drawImage(state.image, 0, 0, state.size.width, state.size.height);
    if (!edited) return;
    const { stage } = state;
    for (const { image, left, top } of state.patches) context.drawImage(image, left, top);
    if (stage?.patch) context.drawImage(stage.patch.image, stage.patch.left, stage.patch.top);
  }

  // The fill under way, where the mask is.
  function drawFill(context) {
    const { stage } = state;
    const layer = Object.assign(document.createElement("canvas"), {
      width: canvas.width,
      height: canvas.height,
    }).getContext("2d");
    layer.setTransform(view.matrix().multiply(toPhoto(stage.crop)));
    layer.drawImage(stage.fill, 0, 0, 1, 1);
    layer.setTransform(view.matrix());
    layer.globalCompositeOperation = "destination-in";
    layer.drawImage(state.mask.canvas, 0, 0, state.size.width, state.size.height);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(layer.canvas, 0, 0);
  }

  function draw() {
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!state.image) return;
    const { crop, stage, split } = state;
    context.setTransform(view.matrix());
    drawPhoto(context, !state.held);
    if (!state.held && stage?.fill && !stage.patch && state.mask) drawFill(context);
    if (split !== null) drawBefore(context, split);
    context.setTransform(view.matrix());
    if (state.mask && !state.held && !stage && split === null) {
      context.globalAlpha = 0.5;
      context.drawImage(state.mask.canvas, 0, 0, state.size.width, state.size.height);
      context.globalAlpha = 1;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (!crop || state.held || split !== null) return look();
    const active = state.tool === "square";
    if (!stage || active) drawFrame(context, crop, view, state.size, active);
    if (state.cursor) drawCursor(context);
    return look();
  }

  function drawBefore(context, split) {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.save();
    context.beginPath();
    context.rect(0, 0, split * canvas.width, canvas.height);
    context.clip();
    context.setTransform(view.matrix());
    drawPhoto(context, false);
    context.restore();
    context.fillStyle = "#fff";
    context.fillRect(split * canvas.width - view.density(), 0, 2 * view.density(), canvas.height);
  }

  // 64 pixels, as the model has them.
  function look() {
    if (!state.crop) return;
    const side = sees.canvas.width;
    sees.setTransform(1, 0, 0, 1, 0, 0);
    sees.clearRect(0, 0, side, side);
    sees.setTransform(new DOMMatrix().scale(side).multiply(toPhoto(state.crop).inverse()));
    const { stage } = state;
    state.stage = null;
    drawPhoto(sees, true);
    state.stage = stage;
  }

  function drawCursor(context) {
    const [column, row] = state.cursor;
    context.setTransform(view.matrix().multiply(toPhoto(state.crop)));
    Object.assign(context, { strokeStyle: "#fde047", lineWidth: 0.008 });
    context.strokeRect(column / CELLS, row / CELLS, 1 / CELLS, 1 / CELLS);
  }

  return {
    redraw,
    through(made) {
      view = made;
    },
  };
}
