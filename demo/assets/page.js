// What the page does as a whole: each tab has an address, "?" lists the keys, Ctrl+Enter runs,
// Esc stops. Mounted once, by the header.
const WRITES = "input:not([type=range], [type=checkbox], [type=radio]), textarea, select";

export function mount(element) {
  const keys = element.querySelector("dialog");
  element.addEventListener("click", (event) => {
    if (event.target.closest("[data-open=keys]")) keys.showModal();
  });
  document.addEventListener("keydown", (event) => {
    const name = event.ctrlKey || event.metaKey ? `Ctrl ${event.key}` : event.key;
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (name === "?" && !event.target.matches(WRITES)) keys.showModal();
    else if (name === "Ctrl Enter") press("primary");
    else if (name === "Escape") press("stop");
    else return;
    event.preventDefault();
  });
  whenThere("#tabs > .tab-wrapper [role=tablist]", addresses);
}

// The button of the tab that is open, if it is there to be pressed.
function press(kind) {
  const buttons = [...document.querySelectorAll(`button.run.${kind}`)];
  buttons.find((button) => button.checkVisibility())?.click();
}

function whenThere(selector, then) {
  const found = document.querySelector(selector);
  if (found) then(found);
  else requestAnimationFrame(() => whenThere(selector, then));
}

// "#inpaint" is the tab of that name: to link to, to go back to, to find again after a reload.
function addresses(bar) {
  const title = document.title;
  const tabs = () => [...bar.querySelectorAll("[role=tab]")];
  const open = () => tabs().find((tab) => tab.ariaSelected === "true");
  const asked = () => tabs().find((tab) => tab.dataset.tabId === location.hash.slice(1));

  function follow() {
    (asked() ?? tabs()[0])?.click();
  }

  function tell() {
    const tab = open();
    if (!tab) return;
    document.title = `${tab.textContent.trim()} · ${title}`;
    tab.scrollIntoView({ block: "nearest", inline: "center" });
    if (tab !== (asked() ?? tabs()[0])) {
      const { pathname, search } = location; // in full, for the page has a base address
      history.pushState(null, "", `${pathname}${search}#${tab.dataset.tabId}`);
    }
  }

  follow();
  tell();
  new MutationObserver(tell).observe(bar, { subtree: true, attributeFilter: ["aria-selected"] });
  window.addEventListener("popstate", follow);
}
