// Fills beside the photo: a look at one in the photo, keep, drop, send on; where they disagree.
import { makeButton } from "./dom.js";
import { picture } from "./mask.js";
import { forget, recall, remember } from "./store.js";

export function mount(element, { props, trigger, watch, options }) {
  element.innerHTML = `<div class="fills"><div class="row" role="group" aria-label="fills"></div>
<figure class="spread" hidden><img alt="where the fills disagree"><figcaption>Where they disagree:
 the brighter, the more</figcaption></figure></div>`;
  const row = element.querySelector(".row");
  const spread = element.querySelector(".spread");
  let value = null;
  let chosen = 0;

  const tell = (name, detail) =>
    document.dispatchEvent(new CustomEvent(name, { detail: { target: value.target, ...detail } }));

  // In the photo, as it would be kept; while it is under way, its first sight.
  async function look(index) {
    chosen = index;
    for (const [i, tile] of [...row.children].entries()) {
      tile.querySelector(".pick").setAttribute("aria-pressed", String(i === index));
    }
    const shown = value;
    const fill = await picture(shown.fills[index]);
    const patch = shown.patches[index];
    const image = patch && (await picture(patch.file.url).catch(() => null));
    if (shown !== value || chosen !== index) return;
    const stage = { fill, crop: shown.crop, patch: image && { ...patch, image, index } };
    tell("studio:stage", { stage });
  }

  function keep(index) {
    const { left, top, file } = value.patches[index];
    tell("studio:keep", { left, top, address: file.url });
    clear();
  }

  function drop(tile) {
    tile.hidden = true;
    const left = [...row.children].findIndex((other) => !other.hidden);
    left < 0 ? clear() : look(left);
  }

  function clear() {
    tell("studio:stage", { stage: null });
    forget(`${value.target} fills`);
    row.replaceChildren();
    spread.hidden = true;
  }

  function makeTile(address, index) {
    const tile = document.createElement("figure");
    const label = value.labels[index];
    const pick = makeButton("", () => look(index));
    pick.className = "pick";
    pick.ariaLabel = label ? `fill, ${label}: look at it in the photo` : "fill under way";
    pick.append(Object.assign(new Image(), { src: address, alt: "" }));
    tile.append(pick);
    if (!label) return tile;
    const actions = Object.assign(document.createElement("div"), { className: "actions" });
    const caption = Object.assign(document.createElement("span"), { textContent: label });
    const keeper = makeButton("Keep", () => keep(index));
    keeper.className = "keep";
    const more = (options.sends ?? []).map(([action, text]) =>
      makeButton(text, () => trigger("click", { action, index })),
    );
    actions.append(
      caption,
      keeper,
      makeButton("Discard", () => drop(tile)),
      ...more,
    );
    tile.append(actions);
    return tile;
  }

  // An example gives way to what the visitor had before a reload.
  async function load() {
    if (!props.value?.fills) return;
    const next = props.value;
    if (next.example && (await recall(next.target))) {
      const kept = await recall(`${next.target} fills`);
      if (kept) show(kept);
      return;
    }
    if (next.labels.length && !next.example) remember(`${next.target} fills`, next);
    show(next);
  }

  function show(next) {
    value = next;
    const count = value.tiles.length;
    const index = row.children.length === count ? Math.min(chosen, count - 1) : 0;
    row.replaceChildren(...value.tiles.map(makeTile));
    row.dataset.count = count;
    row.classList.toggle("running", !value.labels.length);
    spread.hidden = !value.spread;
    if (value.spread) spread.querySelector("img").src = value.spread;
    look(index);
  }

  document.addEventListener("studio:opened", ({ detail }) => {
    if (value && detail.target === value.target && row.children.length) clear();
  });
  watch("value", load);
  load();
}
