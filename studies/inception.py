"""FID and Inception Score by torch-fidelity, if it and its weights are there or can be fetched."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

HASH = "6726825d"  # the sha256 of the weights begins with it
FILE = f"weights-inception-2015-12-05-{HASH}.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
SPLITS = 10  # of the Inception Score
HOW = f"take {URL} and give --inception PATH"


class Scores(NamedTuple):
    """Of a set of pictures; None where they cannot be computed."""

    fid: float | None
    inception_score: float | None


class Inception:
    """Scores sets of pictures against one reference set.

    Args:
        path: The weights; None: from torch's cache, else fetched.
        reference: uint8 (m, c, h, w); in publications, the training set.

    Raises:
        ValueError: If ``path`` is given and does not hold the weights.
    """

    def __init__(self, path: Path | None, reference: Tensor) -> None:
        self.reference, self.folder = reference, tempfile.TemporaryDirectory()
        self.missing = ""
        """Why there are no scores, and how to get them; empty if there are."""
        if path is not None:
            _check(path)
        try:
            import torch_fidelity
        except (ImportError, RuntimeError) as error:  # a torchvision of another build of torch
            self.missing = (
                f"FID and Inception Score need torch-fidelity and the torchvision of your torch "
                f"({type(error).__name__}): install them, then {HOW}."
            )
            return
        self.calculate = torch_fidelity.calculate_metrics
        try:
            self.path = path or _fetched()
        except (OSError, RuntimeError) as error:
            self.missing = (
                f"FID and Inception Score need the Inception weights, which could not be fetched "
                f"({type(error).__name__}): {HOW}."
            )

    def score(self, pictures: Tensor) -> Scores:
        """Score pictures (n, c, h, w) in [0, 1]; at least two."""
        if self.missing:
            return Scores(None, None)
        found = self.calculate(
            input1=_Pictures((pictures * 255).round().byte()),
            input2=_Pictures(self.reference),
            fid=True,
            isc=True,
            isc_splits=min(SPLITS, len(pictures)),
            cuda=torch.cuda.is_available(),
            feature_extractor_weights_path=str(self.path),
            cache_root=self.folder.name,
            cache_input2_name="reference",
            verbose=False,
        )
        return Scores(
            float(found["frechet_inception_distance"]), float(found["inception_score_mean"])
        )


class _Pictures(Dataset):
    """uint8 pictures as torch-fidelity takes them, three channels each."""

    def __init__(self, pictures: Tensor) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        return self.pictures[index].expand(3, -1, -1)


def _check(path: Path) -> None:
    """Refuse a foreign file: torch-fidelity unpickles its weights, and a pickle may run code."""
    if not path.is_file():
        raise ValueError(f"there are no Inception weights at {path}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(HASH):
        raise ValueError(f"{path} does not hold the Inception weights {FILE}")


def _fetched() -> Path:
    """The weights in torch's cache, fetched if need be."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(path), hash_prefix=HASH, progress=False)
    _check(path)
    return path
