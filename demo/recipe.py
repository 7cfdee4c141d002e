"""Recipes: what draws the pictures of a run again, in a PNG, as JSON or as a link.

A recipe is the report of the run, as JSON, and beside it ``studio`` (the version), ``operation``,
``parameters`` (all of them, as checked, but no upload and no name of a file), ``weights`` (the
fingerprint of the model), ``device`` and ``pixels``: a digest of every picture, in a PNG of its
own alone, with ``picture``, which of the run it is. In a link stand operation and parameters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from demo.models import Models
from demo.params import Model, Param, Picture, check
from sbcore import __version__

if TYPE_CHECKING:
    from demo.operation import Operation

PNG = b"\x89PNG\r\n\x1a\n"
MOST = 200_000  # characters of a recipe
LONGEST_LINK = 4000  # characters; servers and messengers take no more
NONE = "This picture carries no recipe."
NONSENSE = "This is no recipe of the studio: load a PNG or a JSON file that it wrote."
OLD = "This recipe is of an early version, which did not write down all that is needed."
SAME = "same bytes"


def origin(name: str, params: Sequence[Param], values: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe says beside the report and the pixels.

    Args:
        name: Of the operation.
        params: Its parameters.
        values: Theirs, checked.
    """
    facts = {"studio": __version__, "operation": name, "parameters": _told(params, values)}
    for param in params:
        if isinstance(param, Model):
            model = values[param.name]
            facts |= {"weights": model.fingerprint, "device": model.device.type}
    return facts


def _told(params: Sequence[Param], values: Mapping[str, Any]) -> dict[str, Any]:
    """What parameters say of checked values, as JSON reads it."""
    facts: dict[str, Any] = {}
    for param in params:
        facts |= param.facts(values[param.name])
    return json.loads(json.dumps(facts))


def link(recipe: Mapping[str, Any]) -> str:
    """The query of an address: operation and parameters; a drawing only if it is short."""
    texts = {
        name: "" if value is None else value if isinstance(value, str) else json.dumps(value)
        for name, value in recipe["parameters"].items()
    }
    query = urlencode({"op": recipe["operation"]} | texts)
    while len(query) > LONGEST_LINK:
        texts.pop(max(texts, key=lambda name: len(texts[name])))
        query = urlencode({"op": recipe["operation"]} | texts)
    return query


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read and checked."""

    operation: str
    values: dict[str, Any]
    """Of the parameters that it names, as `Param.facts` says them."""
    uploads: Sequence[str] = ()
    """What the operation needs beside them, by name."""
    pixels: Sequence[str] = ()
    """Digests of its pictures."""
    differs: Sequence[str] = ()
    """What is not the same here: "other weights", "another version", ..."""
    remarks: Sequence[str] = field(default_factory=list)
    """The same in sentences."""

    def verdict(self, drawn: Mapping[str, Any]) -> str:
        """Whether pictures with a recipe of their own are those of this one; "" for other ones."""
        parameters = drawn["parameters"]
        asked = all(parameters.get(name) == value for name, value in self.values.items())
        if not self.pixels or drawn["operation"] != self.operation or not asked:
            return ""
        if set(self.pixels) <= set(drawn["pixels"]):
            return SAME
        reasons = list(self.differs) or ["perhaps another " + " or ".join(self.uploads)]
        told = bool(self.differs or self.uploads)
        return "other bytes" + (f": {' and '.join(reasons)}" if told else "")


def read(source: bytes | str | Path, operations: Mapping[str, Operation], models: Models) -> Recipe:
    """Read a recipe and check it as any input.

    Args:
        source: A PNG or JSON file by path or content, or JSON text.
        operations: By name.
        models: On offer.

    Raises:
        ValueError: If it cannot be used; one sentence says why.
    """
    facts = _facts(_text(source))
    recorded, version = facts.get("weights"), facts.get("studio")
    pixels = facts.get("pixels") or []
    pixels = [pixels] if isinstance(pixels, str) else pixels
    if not isinstance(pixels, list) or not all(isinstance(one, str) for one in pixels):
        raise ValueError(NONSENSE)
    operation, values, checked = _checked(
        facts["operation"], facts["parameters"], operations, models
    )
    differs, remarks = [], []
    model = checked.get("model")
    if model is not None and recorded is not None and recorded != model.fingerprint:
        differs.append("other weights")
        remarks.append(f"It was drawn with other weights of {model.name}: pictures will differ.")
    if version != __version__:
        differs.append("another version")
        said = _short(version) or "another version"
        remarks.append(f"It was drawn by {said}, this is {__version__}: pictures may differ.")
    if model is not None and facts.get("device") not in (None, model.device.type):
        differs.append(f"drawn on {_short(facts['device'])}, not on {model.device.type}")
    if isinstance(stopped := facts.get("stopped_at"), int):
        pixels = []  # nothing draws them again
        remarks.append(f"It was stopped at step {stopped:,}; now it goes to its end.")
    return Recipe(operation.name, values, _uploads(operation, values), pixels, differs, remarks)


def follow(
    query: Mapping[str, str], operations: Mapping[str, Operation], models: Models
) -> Recipe | None:
    """Read the query of a link; None if it is none. What it does not name stays as it is.

    Raises:
        ValueError: If it cannot be used; one sentence says why.
    """
    if "op" not in query:
        return None
    if sum(map(len, query.values())) > MOST:
        raise ValueError("This link is too long to be one of the studio.")
    named = operations[query["op"]].params if query["op"] in operations else ()
    given = {one.name: one.parse(query[one.name]) for one in named if one.name in query}
    operation, values, _ = _checked(query["op"], given, operations, models)
    return Recipe(operation.name, values, _uploads(operation, values))


def _text(source: bytes | str | Path) -> str:
    """The JSON text of a recipe, wherever it stands."""
    if isinstance(source, str):
        return source
    content = source.read_bytes() if isinstance(source, Path) else source
    if not content.startswith(PNG):
        return content[: MOST + 1].decode("utf-8", "replace")
    texts = (data for kind, data in _chunks(content) if kind == b"tEXt")
    found = (data.partition(b"\0")[2] for data in texts if data.startswith(b"recipe\0"))
    return next(found, b"").decode("latin-1")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk of a PNG file, with nothing unpacked; ends where it breaks."""
    place = len(PNG)
    while place + 12 <= len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        yield png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        place += 12 + length


def _facts(text: str) -> dict[str, Any]:
    """The JSON of a recipe, its shape checked."""
    if len(text) > MOST:
        raise ValueError("This is too long to be a recipe.")
    if not text.strip():
        raise ValueError(NONE)
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(NONSENSE) from error
    if isinstance(facts, dict) and "operation" not in facts and {"seed", "solver"} <= facts.keys():
        raise ValueError(OLD)
    kinds = {"operation": str, "parameters": dict}
    if not isinstance(facts, dict) or not all(
        isinstance(facts.get(name), kind) for name, kind in kinds.items()
    ):
        raise ValueError(NONSENSE)
    return facts


def _checked(
    name: str, given: Mapping[str, Any], operations: Mapping[str, Operation], models: Models
) -> tuple[Operation, dict[str, Any], dict[str, Any]]:
    """The operation, what is given of its parameters, and the same as the operation takes it."""
    if name not in operations:
        raise ValueError(
            f"The studio has no operation {_short(name)}: perhaps a later version has."
        )
    operation = operations[name]
    params = {param.name: param for param in operation.params}
    for one in given:
        if one not in params:
            raise ValueError(f"The recipe sets {_short(one)}, which {name} does not have.")
    named = [one for one in params.values() if one.name in given or isinstance(one, Model)]
    try:
        checked = check(named, {n: params[n].recall(value) for n, value in given.items()}, models)
    except ValueError as error:
        raise ValueError(_sentence(str(error))) from error
    told = [param for param in named if param.name in given]
    return operation, _told(told, checked), checked


def _uploads(operation: Operation, values: Mapping[str, Any]) -> list[str]:
    """Pictures that the operation takes beside what a recipe tells."""
    pictures = (
        param for param in operation.params if isinstance(param, Picture) and not param.optional
    )
    return [one.said or one.name for one in pictures if one.name not in values]


def _short(value: Any) -> str:
    """A stranger's word on one line."""
    return re.sub(r"\s+", " ", f"{value!s:.40}") if value else ""


def _sentence(text: str) -> str:
    """On one line, with a capital and a full stop."""
    text = re.sub(r"\s+", " ", text).strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
