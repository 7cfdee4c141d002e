// The status line: buttons copy the recipe, or a link that restores all controls.

export function mount(element, { trigger, watch }) {
  element.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-recipe], button[data-link]");
    if (!button) return;
    const { recipe, link } = button.dataset;
    await copy(recipe ?? `${location.origin}${location.pathname}?${link}`);
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1200);
  });

  watch("value", () => {
    // A run that waits still cannot hear of Stop: it is the page that takes it out of the queue.
    if (element.querySelector("[data-clears]")) trigger("clear");
    if (element.querySelector(".recipe")) trigger("end");
  });
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // on a plain http address
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
