"""FID and Inception Score by torch-fidelity, if it and its weights are there or can be fetched."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

HASH = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # sha256 of the weights
FILE = f"weights-inception-2015-12-05-{HASH[:8]}.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
SPLITS = 10  # of the Inception Score
NETWORK = "inception-weights-only"  # what torch-fidelity calls the network registered below
WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
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
            feature_extractor=_register(),
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


def _register() -> str:
    """Name of the Inception network that loads tensors and runs no code of their pickle."""
    from torch_fidelity import FeatureExtractorInceptionV3, registry

    class WeightsOnly(FeatureExtractorInceptionV3):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            os.environ[WEIGHTS_ONLY] = "1"  # torch-fidelity itself asks torch for the opposite
            try:
                super().__init__(*arguments, **options)
            finally:
                del os.environ[WEIGHTS_ONLY]

    if NETWORK not in registry.FEATURE_EXTRACTORS_REGISTRY:
        registry.register_feature_extractor(NETWORK, WeightsOnly)
    return NETWORK


def _check(path: Path) -> None:
    """Refuse a foreign file: the weights are a pickle, which may run code."""
    if not path.is_file():
        raise ValueError(f"there are no Inception weights at {path}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != HASH:
        raise ValueError(f"{path} does not hold the Inception weights {FILE}")


def _fetched() -> Path:
    """The weights in torch's cache, fetched if need be."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(path), hash_prefix=HASH, progress=False)
    _check(path)
    return path
