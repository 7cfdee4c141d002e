// What the arrow keys move by: to the right, downwards.
export const ARROWS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

// A button with a text, and what a press does.
export function makeButton(text, press) {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.textContent = text;
  button.addEventListener("click", press);
  return button;
}
