// The status line: a click on the recipe copies it.
export function mount(element) {
  element.addEventListener("click", (event) => {
    const button = event.target.closest("button.recipe");
    if (!button) return;
    navigator.clipboard?.writeText(button.dataset.recipe);
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1200);
  });
}
