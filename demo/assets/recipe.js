// Loads recipes: by a button, or by a drop anywhere on the page that no upload box takes. A PNG is
// read here, so that it never leaves the browser: `input` gets the text of its recipe, "" for none.
// The component's value is a sentence about the last one that could not be used.
import { makeButton } from "./dom.js";

const MOST = 200_000; // characters
const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CHUNK = "tEXtrecipe\0";
const ASCII = new TextDecoder("latin1");

export function mount(element, { props, trigger, watch }) {
  const picker = Object.assign(document.createElement("input"), { type: "file", hidden: true });
  picker.accept = ".png,.json";
  const button = makeButton("Load a recipe", () => picker.click());
  button.title = "a PNG or JSON that the studio wrote; or drop it anywhere on the page";
  const said = Object.assign(document.createElement("span"), { className: "said" });
  said.setAttribute("role", "alert");
  element.replaceChildren(button, picker, said);

  async function load(file) {
    if (file) trigger("input", { text: await recipeOf(file) });
  }

  function over(event) {
    const files = [...(event.dataTransfer?.types ?? [])].includes("Files");
    const free = files && !event.defaultPrevented && element.isConnected;
    if (free) event.preventDefault();
    element.classList.toggle("dropping", free);
    return free;
  }

  picker.addEventListener("change", () => {
    load(picker.files[0]);
    picker.value = ""; // the same file may be chosen again
  });
  document.addEventListener("dragover", over);
  document.addEventListener("dragleave", () => element.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    if (over(event)) load(event.dataTransfer.files[0]);
    element.classList.remove("dropping");
  });
  const say = () => {
    said.textContent = props.value ?? "";
  };
  watch("value", say);
  say();
}

async function recipeOf(file) {
  const head = new Uint8Array(await file.slice(0, PNG.length).arrayBuffer());
  if (PNG.every((byte, index) => head[index] === byte)) return inside(await file.arrayBuffer());
  return file.type.startsWith("image/") ? "" : file.slice(0, MOST + 1).text();
}

// The text chunk of a PNG that holds the recipe.
function inside(buffer) {
  const view = new DataView(buffer);
  for (let place = PNG.length; place + 12 <= buffer.byteLength; ) {
    const length = view.getUint32(place);
    const text = (size) =>
      ASCII.decode(buffer.slice(place + 4, place + 4 + Math.min(size, MOST + CHUNK.length)));
    if (text(CHUNK.length) === CHUNK) return text(4 + length).slice(CHUNK.length);
    place += 12 + length;
  }
  return "";
}
