// The status line: buttons copy the recipe, or a link that restores all controls; who waits for
// others reads how long. Gradio says "queue: 1/2 | 10.3/3.3s" of that, and knows the place, but not
// what the run before does.
const LOOK = 500; // milliseconds

export function mount(element, { server, trigger, watch }) {
  element.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-recipe], button[data-link]");
    if (!button) return;
    const { recipe, link } = button.dataset;
    await copy(recipe ?? `${location.origin}${location.pathname}?${link}`);
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1200);
  });

  // A run that waits still cannot hear of Stop: it is the page that takes it out of the queue.
  watch("value", () => element.querySelector("[data-clears]") && trigger("clear"));

  const block = element.closest(".block");
  if (!block) return;
  const line = Object.assign(document.createElement("p"), { className: "waiting", role: "status" });
  block.append(line);

  async function look() {
    const said = block.checkVisibility() && block.querySelector(".progress-text")?.textContent;
    const place = Number(said?.match?.(/queue: (\d+)/)?.[1]);
    line.textContent = place ? await server.waiting(place).catch(() => "") : "";
    setTimeout(look, LOOK);
  }

  setTimeout(look, LOOK);
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
