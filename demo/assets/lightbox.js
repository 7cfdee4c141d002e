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
  const state = { pictures: [], index: 0 };

  function show(index) {
    const { pictures } = state;
    state.index = (index + pictures.length) % pictures.length;
    const { src, alt, buttons } = pictures[state.index];
    Object.assign(image, { src, alt });
    caption.textContent = alt;
    actions.replaceChildren(...buttons);
  }

  // A copy: a new run may take the picture from its grid.
  function copied(figure, pressed) {
    const { src, alt } = figure.querySelector("img");
    const small = [...figure.querySelectorAll(".actions > *")];
    return { src, alt, buttons: small.map((one) => inWords(one, pressed)) };
  }

  function inWords(small, pressed) {
    const press = small.dataset.action ? pressed(small) : () => small.click();
    return makeButton(small.title, () => {
      dialog.close();
      press();
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

  return (figures, index, pressed) => {
    state.pictures = figures.map((figure) => copied(figure, pressed));
    back.hidden = on.hidden = figures.length < 2;
    show(index);
    dialog.showModal();
  };
}

// Each grid has its own copy of this text; the dialog is the page's. `pressed` maps a button
// below a picture to what a press on it does.
export function enlarge(figures, index, pressed) {
  window.lightbox ??= make();
  window.lightbox(figures, index, pressed);
}
