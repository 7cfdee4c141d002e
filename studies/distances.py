"""Every distance that the tables print, of one set of pictures, in one call."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from sbcore.features import FeatureNet, load_features
from sbcore.runtime.metrics import frechet_distance, precision_recall, sliced_wasserstein
from sbcore.twostage.bridge import Bridge
from studies.inception import Inception
from studies.sets import Sets, load_sets

COMPONENTS = 64  # principal components of the Frechet distance; few enough for 500 pictures
PIXELS = f"Frechet, {COMPONENTS} components"
COLUMNS = ("SWD, mean", PIXELS, "Frechet, features", "precision", "recall", "FID", "IS")
NOTE = (
    "SWD: sliced Wasserstein distance of 7x7 patches of the Laplacian pyramid, x 1000. The "
    "distances are to held-out pictures, as many as are drawn; FID is to the training pictures, "
    "as published, and falls with the number of pictures: published ones take 50,000."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every study that prints these distances."""
    parser.add_argument("model", help="checkpoint folder or Hub repository id")
    parser.add_argument("--data", required=True, help="the pictures that it was trained on")
    parser.add_argument("--val", help="held-out pictures (default: val beside train)")
    parser.add_argument("--count", type=int, default=256, help="pictures of each set")
    parser.add_argument(
        "--features", type=Path, default=Path("checkpoints/features-faces"), help="feature network"
    )
    parser.add_argument("--inception", type=Path, help="weights of FID and Inception Score")
    parser.add_argument("--bf16", action="store_true", help="bf16 inside the networks")


@dataclass(frozen=True)
class Ruler:
    """Measures sets of pictures against held-out ones."""

    real: Tensor
    """Held-out pictures (n, c, h, w) in [0, 1]."""
    sets: Sets
    basis: Tensor
    network: FeatureNet | None
    inception: Inception
    note: str
    """What the numbers are, what is missing and how to supply it."""

    def measure(self, pictures: Tensor) -> dict[str, float | None]:
        """Every distance of as many pictures (n, c, h, w), by name; missing ones are None."""
        swd = sliced_wasserstein(pictures, self.real)
        found: dict[str, float | None] = {
            "SWD, mean" if level == "mean" else f"SWD {level}": value
            for level, value in swd.items()
        }
        found[PIXELS] = frechet_distance(pictures, self.real, self.basis)
        if self.network is not None:
            drawn, real = (self.network.features(x) for x in (pictures, self.real))
            found["Frechet, features"] = frechet_distance(drawn, real)
            found["precision"], found["recall"] = precision_recall(real, drawn)
        found["FID"], found["IS"] = self.inception.score(pictures)
        return found

    def cells(self, pictures: Tensor) -> list[float | None]:
        """The same in the order of `COLUMNS`."""
        found = self.measure(pictures)
        return [found.get(name) for name in COLUMNS]

    def floor(self) -> list[float | None]:
        """The distances of as many real pictures."""
        count = len(self.real)
        *distances, _, _ = self.cells(self.sets.training[-count:] / 255.0)
        return [*distances, *self.inception.score(self.real)]


def make_ruler(options: argparse.Namespace, bridge: Bridge, count: int) -> Ruler:
    """Load the sets and networks that the options name.

    Raises:
        ValueError: If the sets hold fewer than ``count`` pictures, or a file is unusable.
    """
    sets = load_sets(bridge, options.data, options.val)
    least = min(len(sets.training), len(sets.held_out))
    if not 4 <= count <= least:
        raise ValueError(f"count must be in [4, {least}], as many real pictures are needed")
    missing, network = [], None
    if (options.features / "features.json").exists():
        network = load_features(options.features)
    if network is None or network.shape != bridge.shape:
        network = None
        missing.append(
            f"There is no feature network of {bridge.shape[1]} pixels at {options.features}: "
            "'train.py features' makes one."
        )
    inception = Inception(options.inception, sets.training)
    missing += [inception.missing] if inception.missing else []
    real, basis = sets.held_out[:count] / 255.0, bridge.components(COMPONENTS).cpu()
    return Ruler(real, sets, basis, network, inception, " ".join([NOTE, *missing]))
