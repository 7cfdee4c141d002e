"""Downloads: what a tab has made, as files of several kinds.

`Export` is a row of buttons, for any tab: a press makes a file of that kind, which the browser
saves. `ResultExport` is the usual one, of the last result of an operation.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils

from demo import assets, media, views, wiring
from demo.operation import Film, Operation, Picture, Pictures
from demo.runs import Result

NOTHING = "There is nothing to download yet."
PICTURES = {"png": "PNG", "jpeg": "JPEG"}
FILMS = {"mp4": "film as MP4", "gif": "GIF", "webp": "WebP"}
SAVE = """file => {
  if (file) Object.assign(document.createElement("a"),
    { href: file.url, download: file.orig_name }).click();
}"""


@dataclass(frozen=True)
class Made:
    """A file."""

    name: str
    content: bytes


class Written(gr.File):
    """A file component that takes a `Made`; Gradio deletes the file when its time is up."""

    is_template = True

    def postprocess(self, value: Made | None) -> Any:
        """Write the file where Gradio serves from."""
        if value is None:
            return None
        cache = self.GRADIO_CACHE
        path = processing_utils.save_bytes_to_cache(value.content, value.name, cache)
        return super().postprocess(path)


class Export:
    """A row of download buttons.

    Args:
        kinds: What there is, by name; the texts of the buttons.
        make: The file of a kind: it gets the name of the kind and the values of ``inputs``.
            A ValueError or `media.MediaError` becomes a sentence in the status line.
        inputs: Components.
    """

    def __init__(
        self, kinds: Mapping[str, str], make: Callable[..., Made], inputs: Sequence[Any]
    ) -> None:
        self.kinds, self.make, self.inputs = kinds, make, inputs
        buttons = "".join(
            f'<button type="button" data-kind="{kind}">{text}</button>'
            for kind, text in kinds.items()
        )
        row = f'<div class="export" role="group" aria-label="download">Download {buttons}</div>'
        self.row = gr.HTML(row, js_on_load=assets.script("export.js"))
        self.file = Written(visible=False)

    def wire(self, status: gr.HTML) -> None:
        """Let the buttons work; what goes wrong stands in the status line."""

        def press(event: gr.EventData, *values: Any) -> Sequence[Any]:
            if event.kind not in self.kinds:
                return None, gr.skip()
            try:
                with wiring.sentences():
                    return self.make(event.kind, *values), gr.skip()
            except gr.Error as error:
                return None, views.error_html(str(error.message))

        made = self.row.click(press, self.inputs, [self.file, status], **wiring.QUIET)
        made.then(None, self.file, None, js=SAVE, **wiring.QUIET)


class ResultExport(Export):
    """An `Export` of the last result of an operation: its pictures, strips and films.

    Args:
        operation: The operation.
        more: Outputs that its results have beside those that it declares.
    """

    def __init__(self, operation: Operation, *more: Pictures | Picture | Film) -> None:
        self.operation, self.outputs = operation, [*operation.outputs, *more]
        self.last = gr.State(None, time_to_live=3600)
        super().__init__(self.offered(), self.file_of, [self.last])

    def offered(self) -> dict[str, str]:
        """The kinds of files, by name, as the buttons call them."""
        kinds: dict[str, str] = {}
        for one in self.outputs:
            if isinstance(one, Film):
                kinds |= FILMS
            else:
                kinds |= PICTURES if isinstance(one, Pictures) else {one.name: one.name}
        return kinds | {"zip": "all as ZIP"}

    def keep(self, result: Result) -> Result:
        """What `last` shall hold of a result: not what is shown, which may be large."""
        return replace(result, shown=None)

    def file_of(self, kind: str, result: Result | None) -> Made:
        """One file, or a ZIP file of several, named after operation and seed."""
        if result is None:
            raise ValueError(NOTHING)
        files = self._files(kind, result)
        name = f"{self.operation.name}-{result.report.seed}"
        if kind != "zip" and len(files) == 1:
            ((path, content),) = files.items()
            return Made(name + Path(path).suffix, content)
        return Made(f"{name}.zip", media.zip_bytes(files))

    def _files(self, kind: str, result: Result) -> dict[str, bytes]:
        """The files of a kind by name."""
        outputs = self.outputs
        if kind == "zip":
            recipe = {"recipe.json": json.dumps(result.recipe, indent=2).encode()}
            return saved(outputs, result) | recipe
        if kind in FILMS:
            films = [replace(one, kind=kind) for one in outputs if isinstance(one, Film)]
            return saved(films, result)
        if kind == "jpeg":
            pictures = enumerate(result.outputs["pictures"])
            return {f"{i:02d}.jpg": media.jpeg_bytes(one) for i, one in pictures}
        named = "pictures" if kind == "png" else kind
        return saved([one for one in outputs if one.name == named], result)


def saved(outputs: Sequence[Any], result: Result) -> dict[str, bytes]:
    """The files of some outputs by name."""
    with tempfile.TemporaryDirectory() as folder:
        for one in outputs:
            one.save(result.outputs[one.name], Path(folder), result.recipe)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
