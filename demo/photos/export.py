"""Downloads of a photo at its own size, as its box shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from demo import media
from demo.export import PICTURES, Made, ResultExport
from demo.operation import Film, Operation, Picture, Pictures
from demo.photos.box import EMPTY, PhotoBox
from demo.photos.candidates import Edits
from demo.photos.photo import Photo
from demo.runs import Result

PHOTO = {"photo": "photo as PNG", "photo-jpeg": "photo as JPEG"}


class PhotoExport(ResultExport):
    """Of the last result of an operation, and of the photo that it was made of.

    Args:
        operation: The operation.
        box: Where the photo is.
        more: As of `ResultExport`.
    """

    def __init__(
        self, operation: Operation, box: PhotoBox | None, *more: Pictures | Picture | Film
    ) -> None:
        super().__init__(operation, *more)
        self.inputs = [self.last, box]

    def offered(self) -> dict[str, str]:
        """The photo; single pictures are in the ZIP file."""
        return PHOTO | {k: text for k, text in super().offered().items() if k not in PICTURES}

    def keep(self, result: Result) -> Result:
        """What `last` shall hold of a result: no decoded photo."""
        outputs = {
            name: one.light() if isinstance(one, Edits) else one
            for name, one in result.outputs.items()
        }
        return replace(super().keep(result), outputs=outputs)

    def file_of(
        self, kind: str, result: Result | None, document: dict[str, Any] | None = None
    ) -> Made:
        """The photo with what is looked at in it, or a file of the last result."""
        if kind not in PHOTO:
            return super().file_of(kind, result)
        if document is None:
            raise ValueError(EMPTY)
        whole = Photo.document(document, staged=True).whole
        if kind == "photo-jpeg":
            return Made("photo.jpg", media.jpeg_bytes(whole))
        index = (document.get("stage") or {}).get("index")
        recipe = result and result.recipe | {"picture": index}
        return Made("photo.png", media.png_bytes(whole, recipe))
