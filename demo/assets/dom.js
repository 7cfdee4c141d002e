// A button with a text, and what a press does.
export function makeButton(text, press) {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.textContent = text;
  button.addEventListener("click", press);
  return button;
}
