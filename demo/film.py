"""Films for the player (``assets/player.js``): the JSON text that it plays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def pictures(
    layers: Mapping[str, Sequence[str]],
    captions: Sequence[str],
    split: int | None = None,
    ends: tuple[str, str, str] = ("", "", ""),
    length: int | None = None,
    start: int | None = None,
    width: int = 384,
    returns: bool = False,
    keeps: bool = False,
) -> str:
    """A film of pictures, one frame after the other.

    Args:
        layers: Name of each layer and the addresses of its frames; equally many.
        captions: One a frame.
        split: Frame at which stage 2 begins; the track is coloured in two parts.
        ends: Texts under the left end, the split and the right end of the track.
        length: Frames of the whole film, where more are to come.
        start: Frame to show first; the last by default.
        width: Of a frame on the page, in pixels, where there is room.
        returns: Whether a loop goes back the way it came.
        keeps: Whether the player stays as far along, and goes on playing, when it takes the place
            of another film.
    """
    last = len(captions) - 1
    facts = {
        "layers": {name: list(frames) for name, frames in layers.items()},
        "captions": list(captions),
        "times": list(range(len(captions))),
        "start": last if start is None else start,
        "width": width,
        "returns": returns,
        "keeps": keeps,
    }
    return json.dumps(facts | _track((length or len(captions)) - 1, split, ends))


def particles(
    facts: dict[str, Any], times: Sequence[float], split: int | None, ends: tuple[str, str, str]
) -> str:
    """A film of particles in the plane, whose clock ends at 2; ``facts`` as `plane` makes them."""
    rounded = [round(float(time), 5) for time in times]
    return json.dumps(facts | {"times": rounded} | _track(2, split, ends))


def _track(length: int, split: int | None, ends: tuple[str, str, str]) -> dict[str, Any]:
    """The scrubber: where its clock ends, where its second colour begins, texts below."""
    return {"track": {"length": max(length, 1), "split": split, "ends": ends}}
