// Two buttons that turn the seed of their tab: a press by one, held down on and on.
const PAUSE = 400; // milliseconds before it goes on
const PACE = 120; // between two turns then

export function mount(element) {
  let timer = 0;

  // As if it were typed: so whoever listens to the field hears of it.
  function turn(by) {
    const field = element.closest(".controls").querySelector(".seed [type=number]");
    field.value = Math.max(0, Number(field.value) + by);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function hold(by, wait) {
    turn(by);
    timer = setTimeout(() => hold(by, PACE), wait);
  }

  for (const button of element.querySelectorAll("button")) {
    const by = Number(button.dataset.by);
    button.addEventListener("pointerdown", (event) => event.button || hold(by, PAUSE));
    for (const end of ["pointerup", "pointerleave", "pointercancel"])
      button.addEventListener(end, () => clearTimeout(timer));
    button.addEventListener("click", (event) => event.detail || turn(by)); // of the keyboard
    button.addEventListener("contextmenu", (event) => event.preventDefault());
  }
}
