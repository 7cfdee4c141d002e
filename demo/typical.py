"""Whether a photo is of the kind that a model has learned, in a sentence for the visitor."""

from __future__ import annotations

from demo import runs
from demo.photos.photo import Photo
from sbcore import TYPICAL, Bridge

FACES = "CelebA"  # in the name of the data that a model of faces has learned


def unlike(model: Bridge, photo: Photo, name: str = "This") -> str:
    """What to say of a photo that is unlike the training pictures; "" of one that is like them.

    Args:
        model: The model that is to take it.
        photo: The photo; what the model sees of it counts.
        name: What the sentence calls it: "Picture A".
    """
    if model.typicality(runs.to_engine(photo.seen)) >= TYPICAL:
        return ""
    if FACES in model.facts.get("data", {}).get("name", ""):
        return f"{name} does not look like a face: the model has only learned faces."
    return f"{name} is unlike the pictures that the model has learned."
