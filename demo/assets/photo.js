// A photo: brought in, its face in the square that the model sees, and (with `options.paint`) what
// is to be filled painted on it. The document {file, patches, crop, mask} is the component's value,
// so that the server keeps none of it; it outlives a reload in this browser.
import { clamp, tidy, toPhoto } from "./affine.js";
import { takePhoto } from "./camera.js";
import { ARROWS, makeButton } from "./dom.js";
import { dragged, grip, nudged } from "./frame.js";
import { makeMask, picture } from "./mask.js";
import { CELLS, makeSight } from "./sight.js";
import { forget, recall, remember } from "./store.js";
import { MARKUP, makeToolbar } from "./tools.js";
import { listen, makeView } from "./view.js";

const KEPT = 60; // states that undo can go back to
const FRESH = 40 * 60 * 1000; // the server deletes uploads after a while: sent again by then

export function mount(element, { props, trigger, watch, upload, options }) {
  element.innerHTML = MARKUP;
  const find = (selector) => element.querySelector(selector);
  const canvas = find(".sheet canvas");
  const { paint = false, presets = {}, label = "photo", name } = options;
  const tools = makeToolbar(find(".tools"), find(".masks"), { label, paint, presets, act });
  const state = {
    ...{ file: null, path: null, image: null, size: null, patches: [], crop: null, mask: null },
    ...{ history: [], at: -1, tool: "square", brush: 20, cursor: null, held: false, own: false },
    ...{ stage: null, split: null, coming: null, drag: null, recipe: null },
  };
  const { redraw, through } = makeSight(canvas, find(".sees canvas"), state);
  const view = makeView(canvas, redraw);
  through(view);
  canvas.ariaLabel = `${label}: ${paint ? "paint what is to be filled, or " : ""}move the square`;

  // ---- The document

  async function take(file, saved = null) {
    say("");
    element.classList.add("busy");
    const before = state.path && { image: state.image, ...state.size };
    state.coming = { before };
    const local = await createImageBitmap(file).catch(() => null);
    if (local && !saved) show({ image: local, width: local.width, height: local.height });
    const path = await upload(file).catch(() => null);
    if (!path) return refuse("The picture could not be sent: it may have more than 25 MB.");
    const patches = await Promise.all((saved?.patches ?? []).map(sent));
    const { crop = null } = saved ?? state.recipe ?? {};
    const notes = { wanted: !local, restored: Boolean(saved) };
    const kept = { file: reference(path), patches: references(patches), crop, mask: null };
    const value = { ...kept, ...notes };
    state.coming = { before, file, local, saved, patches, value };
    props.value = value;
    return trigger("upload");
  }

  async function sent({ left, top, blob }) {
    const path = await upload(new File([blob], "patch.png", { type: "image/png" }));
    return { left, top, blob, image: await createImageBitmap(blob), file: reference(path) };
  }

  const reference = ({ path, url }) => ({ path, url, meta: { _type: "gradio.FileData" } });

  function refuse(sentence) {
    element.classList.remove("busy");
    const before = state.coming?.before;
    state.coming = null;
    if (before) show(before);
    else {
      state.image = null;
      find(".empty").hidden = false;
    }
    say(sentence);
    commit();
  }

  // What the server says of a file: of an upload, or of one that it puts here itself.
  async function load() {
    const { value } = props;
    if (value?.error) return refuse(value.error);
    if (value?.restore) return restore(value.restore);
    if (!value?.opened) return undefined;
    await remembered;
    const { opened, file: path } = value;
    if (opened.example && state.own) {
      props.value = state.coming?.value ?? null;
      return state.path && commit();
    }
    const coming = state.coming?.value ? state.coming : await fetched(value);
    state.coming = null;
    const { file, local, saved, patches } = coming;
    if (!opened.example && !saved) tell("studio:opened");
    const { width, height, crop, faces, size, preview, note } = opened;
    const fits = local && local.width === width && local.height === height;
    const image = fits ? local : await picture(preview ?? path.url);
    Object.assign(state, { file, path, patches, crop, faces, own: !opened.example });
    Object.assign(state, { history: [], at: -1, seen: size });
    show({ image, width, height });
    state.mask = paint ? makeMask(width, height) : null;
    const { mask } = saved ?? state.recipe ?? {};
    state.recipe = null;
    if (mask && paint) await state.mask.restore(mask);
    else if (opened.preset && paint) stamp(opened.preset);
    element.classList.remove("busy");
    find(".empty").hidden = true;
    offerFaces();
    say(note ?? "");
    choose(paint ? "brush" : "square");
    return changed();
  }

  // Crop and mask of a recipe: of the photo that is here, and of the next.
  async function restore({ crop, mask }) {
    state.recipe = { crop, mask };
    if (!state.path) return commit();
    if (crop) state.crop = tidy(crop, state.size);
    if (mask) await state.mask?.restore(mask);
    view.focus(state.crop);
    return changed();
  }

  // The files of a document that did not come from here.
  async function fetched({ opened, file, patches = [] }) {
    if (opened.example) return { file: null, patches: [] };
    const loaded = patches.map(async ({ left, top, file: patch }) => {
      const blob = await read(patch.url);
      return { left, top, blob, image: await createImageBitmap(blob), file: patch };
    });
    return { file: await read(file.url), patches: await Promise.all(loaded) };
  }

  async function read(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.blob();
  }

  const references = (patches) => patches.map(({ left, top, file }) => ({ left, top, file }));

  const tell = (kind) =>
    document.dispatchEvent(new CustomEvent(kind, { detail: { target: name } }));

  function show({ image, width, height }) {
    Object.assign(state, { image, size: { width, height } });
    view.show(state.size);
    find(".empty").hidden = true;
    if (state.crop && state.path) view.focus(state.crop);
    state.stage = null;
    redraw();
  }

  // To the value and to this browser.
  function commit() {
    const { path, patches, crop, history, at } = state;
    const mask = history[at]?.mask ?? null;
    const { left, top, file, index } = state.stage?.patch ?? {};
    const stage = file ? { left, top, file, index } : null;
    props.value = path && { file: path, patches: references(patches), crop, mask, stage };
    if (!state.own || !state.file) return;
    const blobs = patches.map(({ left, top, blob }) => ({ left, top, blob }));
    remember(name, { file: state.file, patches: blobs, crop, mask });
  }

  // A new state of the picture, to which undo comes back.
  function changed({ painted = false } = {}) {
    const { crop, patches } = state;
    const mask = state.mask?.encode() ?? null;
    state.history.splice(state.at + 1, Number.POSITIVE_INFINITY, { crop, patches, mask });
    state.history.splice(0, state.history.length - KEPT);
    state.at = state.history.length - 1;
    settle();
    if (painted && mask) trigger("release");
  }

  function settle() {
    tools.enable({ undo: state.at > 0, redo: state.at < state.history.length - 1 });
    numbers.forEach((field) => {
      if (field !== document.activeElement) field.value = state.crop?.[field.name] ?? "";
    });
    const times = state.crop && state.crop.side / state.seen;
    const enlarged = times > 1.05 ? `${times.toFixed(1)} times enlarged` : "";
    const words = enlarged
      ? `What the model sees; it comes back ${enlarged}.`
      : "What the model sees.";
    find(".sees span").textContent = !times ? "" : paint ? words : enlarged;
    commit();
    redraw();
  }

  async function travel(by) {
    const to = state.history[state.at + by];
    if (!to) return;
    state.at += by;
    state.stage = null;
    Object.assign(state, { crop: to.crop, patches: to.patches });
    await state.mask?.restore(to.mask);
    settle();
  }

  // ---- Doing

  const messages = find(".message");
  function say(sentence) {
    messages.textContent = sentence;
    messages.hidden = !sentence;
  }

  function choose(tool) {
    state.tool = tool;
    tools.press(tool);
    canvas.dataset.tool = tool;
    if (tool === "square") state.cursor = null;
    redraw();
  }

  function touched() {
    state.stage = null;
    state.split = null;
    split.hidden = true;
  }

  // By the name of a button of the toolbar.
  function act(action, argument) {
    const onMask = { clear: () => state.mask.clear(), invert: () => state.mask.invert(state.crop) };
    onMask.grow = () => state.mask.grow(state.crop.side / 48);
    onMask.shrink = () => state.mask.grow(-state.crop.side / 48);
    onMask.preset = () => stamp(argument);
    const others = {
      undo: () => travel(-1),
      redo: () => travel(1),
      open: () => find("input[type=file]").click(),
      camera: () => takePhoto().then((file) => file && take(file)),
      zoom: () => (argument ? view.zoom(argument) : view.fit()),
      import: () => find(".mask-file").click(),
      export: save,
      compare,
      remove,
    };
    if (action === "tool") return choose(argument);
    if (action === "brush") {
      state.brush = argument;
      return redraw();
    }
    if (!state.image && !["open", "camera"].includes(action)) return undefined;
    if (!onMask[action]) return others[action]?.();
    touched();
    onMask[action]();
    return changed({ painted: true });
  }

  // A ready mask, in the square of the crop.
  function stamp(preset) {
    state.mask.clear();
    const shape = tools.shape(preset);
    state.mask.within(state.crop, (context) => {
      context.imageSmoothingQuality = "high";
      context.drawImage(shape, 0, 0, 1, 1);
    });
  }

  function save() {
    const link = Object.assign(document.createElement("a"), { download: "mask.png" });
    link.href = state.mask.exported().toDataURL("image/png");
    link.click();
  }

  async function importMask(file) {
    const image = await picture(URL.createObjectURL(file)).catch(() => null);
    if (!image) return say("The mask cannot be read: please use a PNG, JPEG or WebP file.");
    const { naturalWidth: width, naturalHeight: height } = image;
    const whole = Math.abs(width / height - state.size.width / state.size.height) < 0.01;
    if (!whole && width !== height) {
      return say("The mask must have the shape of the photo, or be square as the model's view.");
    }
    touched();
    state.mask.imported(image, whole ? null : state.crop);
    say(state.mask.encode() ? "" : "The mask marks nothing: what is white in it is to be filled.");
    return changed();
  }

  // Here and in this browser.
  function remove() {
    forget(name);
    tell("studio:opened");
    Object.assign(state, { file: null, path: null, image: null, size: null, own: false });
    Object.assign(state, { patches: [], faces: [], crop: null, mask: null, stage: null });
    Object.assign(state, { history: [], at: -1 });
    find(".empty").hidden = false;
    offerFaces();
    settle();
  }

  function compare() {
    state.split = state.split === null ? 0.5 : null;
    split.hidden = state.split === null;
    split.value = 0.5;
    redraw();
  }

  function offerFaces() {
    const many = state.faces.length > 1 ? state.faces : [];
    const buttons = many.map(({ crop, thumb }, index) => {
      const button = makeButton("", () => recrop(crop));
      button.ariaLabel = `face ${index + 1}`;
      button.append(Object.assign(new Image(), { src: thumb, alt: "" }));
      return button;
    });
    find(".people").replaceChildren(...buttons);
  }

  function recrop(crop) {
    touched();
    state.crop = tidy(crop, state.size);
    view.focus(state.crop);
    changed();
  }

  // ---- Pointers

  const radius = () => (state.brush * state.crop.side) / 256; // the crop is 256 wide to the eye
  function move(to) {
    const { drag } = state;
    const place = view.place(to);
    if (drag.kind === "hand" || (drag.kind === "square" && !drag.grip)) {
      view.pan(to[0] - drag.at[0], to[1] - drag.at[1]);
    } else if (drag.kind === "square") {
      touched();
      state.crop = tidy(dragged(state.crop, drag.grip, view, drag.at, to), state.size);
      drag.moved = true;
    } else {
      state.mask.stroke(drag.place, place, radius(), drag.kind === "eraser");
      drag.moved = true;
    }
    Object.assign(drag, { at: to, place: view.place(to) });
    redraw();
  }

  listen(canvas, view, {
    ready: () => state.image && state.crop && state.path,
    begin(at, event) {
      const kind = event.button === 1 || event.altKey ? "hand" : state.tool;
      if (kind !== "hand" && kind !== "square") touched();
      state.cursor = null;
      state.drag = {
        kind,
        at,
        place: view.place(at),
        grip: kind === "square" && grip(state.crop, view, at),
      };
      if (kind === "brush" || kind === "eraser") move(at);
    },
    move,
    end() {
      if (state.drag.moved) changed({ painted: state.drag.kind !== "square" });
      state.drag = null;
    },
    cancel() {
      state.drag = null;
      travel(0);
    },
    pinch(factor, turned, before, after) {
      if (state.tool !== "square") {
        view.zoom(factor, before);
        view.pan(after[0] - before[0], after[1] - before[1]);
        return;
      }
      const { side, angle } = state.crop;
      state.crop = tidy({ ...state.crop, side: side * factor, angle: angle + turned }, state.size);
      redraw();
    },
    pinched: () => state.tool === "square" && changed(),
  });

  // ---- Keys

  function isPainted([column, row]) {
    const point = new DOMPoint((column + 0.5) / CELLS, (row + 0.5) / CELLS);
    const { x, y } = toPhoto(state.crop).transformPoint(point);
    const inside = x >= 0 && y >= 0 && x < state.size.width && y < state.size.height;
    return inside && state.mask.painted([x, y]);
  }

  function paintCell(erase) {
    const [column, row] = state.cursor;
    touched();
    state.mask.within(
      state.crop,
      (context) => context.fillRect(column / CELLS, row / CELLS, 1 / CELLS, 1 / CELLS),
      erase,
    );
    changed({ painted: true });
  }

  function onGrid(event) {
    const move = ARROWS[event.key];
    if (!move && event.key !== " ") return false;
    if (move && state.cursor) {
      state.cursor = state.cursor.map((at, axis) => clamp(at + move[axis], 0, CELLS - 1));
      if (event.shiftKey) paintCell(false);
    } else if (state.cursor) paintCell(isPainted(state.cursor));
    state.cursor ??= [CELLS / 2, CELLS / 2];
    const [column, row] = state.cursor;
    const painted = isPainted(state.cursor) ? "painted" : "not painted";
    find(".spoken").textContent = `row ${row + 1}, column ${column + 1}, ${painted}`;
    redraw();
    return true;
  }

  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Enter") return run()?.click();
    if (!state.crop || event.ctrlKey || event.metaKey) return;
    if (state.tool !== "square" && paint) {
      if (onGrid(event)) event.preventDefault();
      return;
    }
    const crop = nudged(state.crop, event.key, event.shiftKey);
    if (!crop) return;
    touched();
    state.crop = tidy(crop, state.size);
    changed();
    event.preventDefault();
  });
  const run = () =>
    [...element.closest(".studio").querySelectorAll("button.run")].find((one) => one.offsetParent);

  canvas.addEventListener("blur", () => {
    state.cursor = null;
    redraw();
  });

  const hovered = () => canvas.matches(":hover") || canvas === document.activeElement;
  const peek = (event) =>
    (event.key === "Tab" && canvas.matches(":hover")) || (event.key === "o" && hovered());
  const typing = (event) => event.target.matches("input:not([type=range]), textarea, select");
  document.addEventListener("keydown", (event) => {
    if (!element.offsetParent || !state.image || typing(event)) return;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === "z" && hovered())
      act(event.shiftKey ? "redo" : "undo");
    else if (!command && peek(event)) state.held = true;
    else if (!command && paint && tools.key(event.key)) return;
    else return;
    event.preventDefault();
    redraw();
  });
  document.addEventListener("keyup", (event) => {
    if (!state.held || !["Tab", "o"].includes(event.key)) return;
    state.held = false;
    redraw();
  });

  // ---- In and out

  const files = find("input[type=file]");
  files.addEventListener("change", () => {
    if (files.files[0]) take(files.files[0]);
    files.value = "";
  });
  const masks = find(".mask-file");
  masks.addEventListener("change", () => {
    if (masks.files[0]) importMask(masks.files[0]);
    masks.value = "";
  });
  for (const kind of ["dragover", "drop"]) {
    element.addEventListener(kind, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      if (kind === "drop" && event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
    if (!file || !element.offsetParent || !(paint || element.matches(":hover, :focus-within")))
      return;
    event.preventDefault();
    take(file);
  });
  const split = find(".split");
  split.addEventListener("input", () => {
    state.split = Number(split.value);
    redraw();
  });
  const numbers = [...element.querySelectorAll(".numbers input")];
  for (const field of numbers) {
    field.addEventListener("change", () => {
      if (!state.crop || !Number.isFinite(field.valueAsNumber)) return settle();
      recrop({ ...state.crop, [field.name]: field.valueAsNumber });
      field.value = state.crop[field.name];
      return undefined;
    });
  }

  // A fill beside the canvas is looked at in the photo, or kept.
  document.addEventListener("studio:stage", ({ detail }) => {
    if (detail.target !== name || !state.image) return;
    state.stage = detail.stage;
    commit();
    redraw();
  });
  document.addEventListener("studio:keep", async ({ detail }) => {
    if (detail.target !== name || !state.image) return;
    const { left, top, address } = detail;
    const patch = await sent({ left, top, blob: await read(address) }).catch(() => null);
    if (!patch) return say("This fill is no longer on the server: please draw it again.");
    touched();
    state.patches = [...state.patches, patch];
    state.mask?.clear();
    return changed();
  });

  setInterval(async () => {
    if (!state.own || !state.file) return;
    const path = await upload(state.file).catch(() => null);
    if (!path) return;
    state.path = reference(path);
    state.patches = await Promise.all(state.patches.map(sent));
    commit();
  }, FRESH);

  tools.press(state.tool);
  const remembered = recall(name).then((saved) => {
    if (!saved?.file) return undefined;
    state.own = true;
    return saved;
  });
  remembered.then((saved) => saved && take(saved.file, saved));
  watch("value", load);
  load();
}
