// The screen of a film of pictures: one frame at a time, of one layer or another.
import { makeButton } from "./dom.js";

export function pictures(stage, extras, _api, refresh) {
  const picture = document.createElement("img");
  picture.className = "picture";
  picture.tabIndex = 0;
  stage.append(picture);
  let film = null;
  let layer = null;
  let frame = 0;

  function choose(name) {
    layer = name;
    for (const button of extras.children) {
      button.setAttribute("aria-pressed", String(button.textContent === name));
    }
  }

  function offer(names) {
    const buttons = names.map((name) =>
      makeButton(name, () => {
        choose(name);
        refresh();
      }),
    );
    extras.replaceChildren(...buttons);
    extras.hidden = names.length < 2;
  }

  // A film of the same length (a morph getting sharper) stays at the frame that is shown.
  function load(next) {
    const [before, length] = [film?.times.length, next.times.length];
    const stays = length === before || (next.keeps && before > 1);
    const place = stays && Math.round((frame / Math.max(1, before - 1)) * (length - 1));
    film = next;
    const names = Object.keys(film.layers);
    if (names.join() !== [...extras.children].map((button) => button.textContent).join())
      offer(names);
    choose(names.includes(layer) ? layer : names[0]);
    picture.style.setProperty("--width", `${film.width}px`);
    return { clock: stays ? place : film.start, play: false };
  }

  function show(index) {
    frame = index;
    picture.src = film.layers[layer][frame];
    picture.alt = film.captions[frame];
  }

  return { load, show, caption: (index) => film.captions[index], whole: true, rate: 9 };
}
