// Pictures with buttons: a press triggers `click` with the button's action and its picture's index.
export function mount(element, { trigger }) {
  element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action]");
    if (!button) return;
    const { action, index } = button.dataset;
    trigger("click", { action, index: Number(index) });
  });
}
