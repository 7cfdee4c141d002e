// A row of download buttons: a press triggers `click` with the kind of file.
export function mount(element, { trigger }) {
  element.addEventListener("click", (event) => {
    const { kind } = event.target.closest("button")?.dataset ?? {};
    if (kind) trigger("click", { kind });
  });
}
