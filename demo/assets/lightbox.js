// A picture of a grid, large: with its buttons in words, and the others by arrow keys.
import { makeButton } from "./dom.js";

const MARKUP = `<dialog class="lightbox" aria-label="picture, large"><figure>
<img alt=""><figcaption></figcaption></figure><div class="actions"></div>
<div class="ways"></div></dialog>`;

function make() {
  const root = document.querySelector(".gradio-container") ?? document.body;
  root.insertAdjacentHTML("beforeend", MARKUP);
  const dialog = root.lastElementChild;
  const [image, caption, actions, ways] = ["img", "figcaption", ".actions", ".ways"].map((name) =>
    dialog.querySelector(name),
  );
  const state = { figures: [], index: 0 };

  function show(index) {
    const { figures } = state;
    state.index = (index + figures.length) % figures.length;
    const figure = figures[state.index];
    image.src = figure.querySelector("img").src;
    image.alt = caption.textContent = figure.querySelector("img").alt;
    actions.replaceChildren(...[...figure.querySelectorAll(".actions > *")].map(inWords));
  }

  function inWords(small) {
    return makeButton(small.title, () => {
      dialog.close();
      small.click();
    });
  }

  const step = (by) => () => show(state.index + by);
  const [back, on] = [makeButton("‹", step(-1)), makeButton("›", step(1))];
  const close = makeButton("✕", () => dialog.close());
  back.ariaLabel = "the picture before";
  on.ariaLabel = "the next picture";
  on.autofocus = true; // not a button of one picture, which goes with it
  close.ariaLabel = "close";
  ways.append(back, on, close);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move) step(move)();
  });

  return (figures, index) => {
    state.figures = figures;
    back.hidden = on.hidden = figures.length < 2;
    show(index);
    dialog.showModal();
  };
}

// Each grid has its own copy of this text; the dialog is the page's.
export function enlarge(figures, index) {
  window.lightbox ??= make();
  window.lightbox(figures, index);
}
