"""The page's scripts and styles: modules of ``assets``, put together for Gradio.

Gradio runs the text of ``js_on_load`` as the body of one function, so that a module cannot be
imported there. Here each becomes a function in that body that returns what the module exports.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
STYLES, FAVICON = [ASSETS / "style.css", ASSETS / "photo.css"], ASSETS / "favicon.svg"
IMPORT = re.compile(r'^import \{([\w,\s]+)\} from "\./(\w+)\.js";$', re.M)
EXPORT = re.compile(r"^export (?=(?:function|const) (\w+))", re.M)
MOUNT = "mount(element, { props, trigger, watch, server, upload, options });"


@cache
def script(name: str, options: str = "{}") -> str:
    """The text for ``js_on_load`` that mounts a module on the component's element.

    Args:
        name: Of a module that exports ``mount(element, api)``.
        options: JSON that becomes ``api.options``. Not props: Gradio drops those of its own accord
            where a value arrives before the component is mounted, as in a tab not yet open.

    Raises:
        ValueError: If a module imports or exports in another way than
            ``import { a, b } from "./c.js";`` and ``export function`` or ``export const``.
    """
    name, modules = name.removesuffix(".js"), {}
    _collect(name, modules)
    parts = [f"const {{ mount }} = ${name};", f"const options = {options};", MOUNT]
    return "\n".join(['"use strict";', *modules.values(), *parts])


def _collect(name: str, modules: dict[str, str]) -> None:
    """Add a module, after those that it imports."""
    text = (ASSETS / f"{name}.js").read_text(encoding="utf-8")
    for _, needed in IMPORT.findall(text):
        if needed not in modules:
            _collect(needed, modules)
    exported = ", ".join(EXPORT.findall(text))
    body = EXPORT.sub("", IMPORT.sub(r"const {\1} = $\2;", text))
    if left := re.search(r"^(import|export)\b.*", body, re.M):
        raise ValueError(f"{name}.js: cannot put together {left[0]!r}")
    modules[name] = f"const ${name} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();"
