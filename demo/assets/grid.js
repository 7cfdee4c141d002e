// Pictures with buttons: a press triggers `click` with the button's action and its picture's index;
// a press on the picture shows it large. With `history`, the last runs stay below, as small
// pictures in this page's memory alone: therefore a picture with a seed is sent along.
import { makeButton } from "./dom.js";
import { enlarge } from "./lightbox.js";

const KEPT = 8;

export function mount(element, { props, trigger, watch, options }) {
  element.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const figure = button?.closest("figure");
    if (button?.dataset.action) trigger("click", asked(button));
    else if (figure) {
      const figures = [...element.querySelectorAll("figure")];
      enlarge(figures, figures.indexOf(figure), (small) => {
        const event = asked(small);
        return () => trigger("click", event);
      });
    }
  });

  if (options.history) remember(element, props, watch);
}

// What a button asks for.
function asked(button) {
  const { action, index } = button.dataset;
  const figure = button.closest("figure");
  const { seed } = figure.dataset;
  const own = seed ? { seed: Number(seed), picture: figure.querySelector("img").src } : {};
  return { action, index: Number(index), ...own };
}

function remember(element, props, watch) {
  const row = Object.assign(document.createElement("div"), { className: "history", hidden: true });
  row.ariaLabel = "the last runs of this page";
  row.role = "group";
  element.after(row);
  const runs = []; // of {value, button}, the newest first

  function note() {
    const grid = element.querySelector(".faces[data-final]");
    if (!grid || runs.some(({ value }) => value === props.value)) return mark();
    const run = { value: props.value, button: makeButton("", () => restore(run)) };
    const first = grid.querySelector("img");
    run.button.append(first.cloneNode());
    run.button.lastChild.alt = "";
    run.button.title = run.button.ariaLabel = `back to ${first.alt}`;
    if (grid.dataset.count > 1) run.button.dataset.count = grid.dataset.count;
    runs.unshift(run);
    runs.length = Math.min(runs.length, KEPT);
    row.replaceChildren(...runs.map(({ button }) => button));
    row.hidden = runs.length < 2;
    mark();
  }

  function mark() {
    for (const { value, button } of runs) button.ariaPressed = String(value === props.value);
  }

  function restore(run) {
    props.value = run.value;
    mark();
  }

  watch("value", note);
  note();
}
