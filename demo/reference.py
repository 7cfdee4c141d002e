"""The reference of the HTTP API as a page, at ``/api``: written from the declarations alone."""

from __future__ import annotations

import html
import inspect
import json
import re
from collections.abc import Iterable
from typing import Any

from demo.operation import Film, Operation, Picture, Pictures
from demo.params import REQUIRED, Param
from demo.params import Picture as PictureParam

ADDRESS = "http://127.0.0.1:7860"
KINDS = {
    Pictures: "PNG files, each with its recipe",
    Picture: "a PNG file, with its recipe",
    Film: "an MP4 file",
}
UPLOAD = r"""file() {
  path=$(curl -s -F "files=@$1" $studio/upload | cut -d '"' -f 2)
  echo "{\"path\": \"$path\", \"meta\": {\"_type\": \"gradio.FileData\"}}"
}
"""
TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
<header><h1>{title}</h1>{lead}<nav aria-label="operations">{links}</nav></header>
<main>{sections}</main>
</html>
"""
TITLE = "Calling the studio"
LEAD = f"""<p>What each tab does, a program can do. Every operation takes the parameters below by
name; what is left out has its default, and what is refused is answered by one sentence. A call
ends with its files and a report that says what draws them again.</p>
<p>The examples call a studio on this machine; put the address of another in place of
<code>{ADDRESS}</code>. <a href="/">Back to the studio</a></p>"""
STYLE = """
:root { --page: #f8fafc; --card: #fff; --line: #e2e8f0; --text: #1e293b; --quiet: #64748b;
  --accent: #c2410c; --code: #f1f5f9; }
@media (prefers-color-scheme: dark) { :root { --page: #020617; --card: #0f172a; --line: #334155;
  --text: #e2e8f0; --quiet: #94a3b8; --accent: #fb923c; --code: #1e293b; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 60rem; background: var(--page);
  color: var(--text); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0; font-size: 1.75rem; }
h2 { margin: 0; font: 600 1.25rem/1.3 ui-monospace, SFMono-Regular, Menlo, monospace; }
a { color: var(--accent); }
a:focus-visible, summary:focus-visible, pre:focus-visible { outline: 2px solid var(--accent);
  outline-offset: 2px; }
nav { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0 2rem; }
nav a { padding: .25rem .75rem; border: 1px solid var(--line); border-radius: 1rem;
  background: var(--card); color: var(--text); text-decoration: none; }
nav a:hover { border-color: var(--accent); color: var(--accent); }
section { margin: 0 0 1.5rem; padding: 1.25rem; border: 1px solid var(--line);
  border-radius: .5rem; background: var(--card); }
code, pre { font: .875rem/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; }
td { overflow-wrap: anywhere; }
th { white-space: nowrap; }
pre { margin: .5rem 0 0; padding: .75rem 1rem; overflow-x: auto; border-radius: .375rem;
  background: var(--code); }
table { width: 100%; margin: .75rem 0; border-collapse: collapse; }
th, td { padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { font-weight: 500; }
thead th, .quiet { color: var(--quiet); font-size: .875rem; }
details { margin-top: .5rem; }
summary { cursor: pointer; font-weight: 500; }
@media (max-width: 40rem) {
  thead { display: none; }
  tr { display: grid; grid-template-columns: 1fr auto; padding: .5rem 0;
    border-bottom: 1px solid var(--line); }
  th, td { padding: 0; border: 0; }
  td:nth-child(2) { order: 1; grid-column: 1 / -1; }
}
"""


class Reference:
    """ASGI middleware that serves the page.

    Args:
        app: What serves all else.
        operations: What is published.
        path: Where the page is.
    """

    def __init__(self, app: Any, operations: Iterable[Operation], path: str = "/api") -> None:
        self.app, self.path, self.body = app, path, page(operations).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer for the page alone."""
        if (scope["type"], scope.get("path"), scope.get("method")) != ("http", self.path, "GET"):
            await self.app(scope, receive, send)
            return
        length = str(len(self.body)).encode()
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def page(operations: Iterable[Operation]) -> str:
    """The page, whole: it needs no other file."""
    operations = list(operations)
    links = "".join(f'<a href="#{one.name}">{one.name}</a>' for one in operations)
    sections = "\n".join(map(_section, operations))
    return TEMPLATE.format(title=TITLE, style=STYLE, lead=LEAD, links=links, sections=sections)


def _section(operation: Operation) -> str:
    """One operation: what it does, takes and returns, and how it is called."""
    paragraphs = inspect.cleandoc(operation.doc).split("\n\n")
    said = "".join(f"<p>{_words(paragraph)}</p>" for paragraph in paragraphs)
    rows = "".join(_row(param) for param in operation.params if param.http)
    outputs = [(one.name, KINDS[type(one)]) for one in operation.outputs] + [("report", "JSON")]
    returned = "; ".join(f"<b>{name}</b>, {kind}" for name, kind in outputs)
    calls = "".join(
        f'<details{" open" * (not i)}><summary>{title}</summary><pre tabindex="0"><code>'
        f"{html.escape(text)}</code></pre></details>"
        for i, (title, text) in enumerate(snippets(operation).items())
    )
    return (
        f'<section id="{operation.name}"><h2>/{operation.name}</h2>{said}<table><thead><tr>'
        f'<th scope="col">parameter</th><th scope="col">takes</th><th scope="col">default</th>'
        f"</tr></thead><tbody>{rows}</tbody></table>"
        f'<p class="quiet">Returns, in this order: {returned}.</p>{calls}</section>'
    )


def _row(param: Param) -> str:
    """A parameter in the table."""
    default = "required" if param.default is REQUIRED else json.dumps(param.default)
    takes = _words(param.describe().removeprefix(f"{param.name}: "))
    name, default = (f"<code>{html.escape(one)}</code>" for one in (param.name, default))
    return f'<tr><th scope="row">{name}</th><td>{takes}</td><td>{default}</td></tr>'


def _words(text: str) -> str:
    """Text with ``code`` in it as HTML."""
    return re.sub(r"``(.+?)``", r"<code>\1</code>", html.escape(text, quote=False))


def snippets(operation: Operation) -> dict[str, str]:
    """An example of a call, in every way that there is, by title."""
    return {
        "Python, over HTTP": _client(operation),
        "curl": _curl(operation),
        "Command line, without a server": operation.command(),
        "Python, without a server": _python(operation),
    }


def _files(operation: Operation) -> set[str]:
    """Names of the parameters that are files."""
    return {one.name for one in operation.params if isinstance(one, PictureParam)}


def _client(operation: Operation) -> str:
    files = _files(operation)
    given = "".join(
        f"    {name}=" + (f'handle_file("{value}")' if name in files else repr(value)) + ",\n"
        for name, value in operation.example.items()
    )
    imports = "Client, handle_file" if files else "Client"
    outputs = ", ".join(one.name.replace(" ", "_") for one in operation.outputs)
    return f"""from gradio_client import {imports}

client = Client("{ADDRESS}")
{outputs}, report = client.predict(
{given}    api_name="/{operation.name}",
)"""


def _curl(operation: Operation) -> str:
    files = _files(operation)
    given = ", ".join(
        f'\\"{name}\\": ' + (f"$(file {value})" if name in files else json.dumps(value))
        for name, value in operation.example.items()
    )
    return f"""studio={ADDRESS}/gradio_api
{UPLOAD if files else ""}given="{{{given}}}"
event=$(curl -s $studio/call/v2/{operation.name} -H "content-type: application/json" \\
  -d "$given" | cut -d '"' -f 4)
curl -s -N $studio/call/v2/{operation.name}/$event"""


def _python(operation: Operation) -> str:
    return f"""from pathlib import Path

from demo.cli import OPERATIONS
from demo.models import Models

operation = OPERATIONS["{operation.name}"]
given = {json.dumps(operation.example)}
*_, result = operation.start(Models(Path("checkpoints")), given)
files = operation.save(result, Path("results"))"""
