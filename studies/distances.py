"""Every distance that the tables print, of one set of pictures, in one call."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from sbcore.features import FeatureNet, load_features
from sbcore.runtime import checks
from sbcore.runtime.metrics import (
    COMPONENT_BANDS,
    TextureReference,
    band_contrast,
    frechet_distance,
    mean_difference,
    precision_recall,
    principal_variances,
)
from sbcore.twostage.bridge import Bridge
from studies.inception import Inception
from studies.report import Cell, Table
from studies.sets import load_sets

COMPONENTS = 64  # principal components of the Frechet distance; few enough for 250 pictures
COUNT = 250  # half of 500 held-out pictures
FLOORS = 4  # sets of training pictures behind the floor
SWD, MEAN, PIXELS = "SWD, mean", "mean picture", f"Frechet, {COMPONENTS} components"
FEATURES = "Frechet, features"
COLUMNS = (SWD, PIXELS, FEATURES, "precision", "recall", "FID", "IS")
"""What the narrow tables print."""
RATIOS = ("contrast", "variance")  # names of measures that are 1 for a perfect set begin so
FLOOR, SPREAD = "training pictures (floor)", "its standard deviation"
NOTE = (
    "SWD: sliced Wasserstein distance of 7x7 patches of the Laplacian pyramid, x 1000, both sets "
    "normalised by the real one; mean picture: root mean square difference of the two. The "
    "distances are to held-out pictures on which nothing was chosen, as many as are drawn; the "
    "floor is that of as many training pictures."
)
FID_NOTE = (
    "FID is to the training pictures, as published, and falls with the number of pictures: "
    "published ones take 50,000."
)
RATIO_NOTE = (
    "Standard deviation of each band of the Laplacian pyramid (contrast, by height in pixels) and "
    "variance in bands of principal components, relative to the held-out pictures: 1 is right."
)
Found = dict[str, float | None]
"""What was measured of a set of pictures, by name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every study that prints these distances."""
    parser.add_argument("model", help="checkpoint folder or Hub repository id")
    parser.add_argument("--data", required=True, help="the pictures that it was trained on")
    parser.add_argument("--val", help="held-out pictures (default: val beside train)")
    parser.add_argument("--count", type=int, default=COUNT, help="pictures of each set")
    parser.add_argument(
        "--features", type=Path, default=Path("checkpoints/features-faces"), help="feature network"
    )
    parser.add_argument("--inception", type=Path, help="weights of FID and Inception Score")
    parser.add_argument("--bf16", action="store_true", help="bf16 inside the networks")
    parser.add_argument(
        "--half",
        choices=("reporting", "selection"),
        default="reporting",
        help="of the held-out pictures to compare with; what is tuned, is tuned on selection",
    )


@dataclass(frozen=True)
class Ruler:
    """Measures sets of pictures against held-out ones."""

    real: Tensor
    """Held-out pictures (n, c, h, w) in [0, 1]."""
    training: Tensor
    """uint8 (m, c, h, w)."""
    basis: Tensor
    network: FeatureNet | None
    inception: Inception
    note: str
    """What the numbers are, what is missing and how to supply it."""

    @cached_property
    def _texture(self) -> TextureReference:
        return TextureReference(self.real)

    @cached_property
    def _features(self) -> Tensor:
        assert self.network is not None
        return self.network.features(self.real)

    def measure(self, pictures: Tensor) -> Found:
        """Every distance of as many pictures (n, c, h, w), by name; missing ones are None."""
        swd = self._texture.distance(pictures)
        found: Found = {SWD: swd.pop("mean")}
        found |= {f"SWD {level}": value for level, value in swd.items()}
        found[PIXELS] = frechet_distance(pictures, self.real, self.basis[:COMPONENTS])
        found[MEAN] = mean_difference(pictures, self.real)
        if self.network is not None:
            drawn = self.network.features(pictures)
            found[FEATURES] = frechet_distance(drawn, self._features)
            found["precision"], found["recall"] = precision_recall(self._features, drawn)
        found["FID"], found["IS"] = self.inception.score(pictures)
        contrasts = band_contrast(pictures, self.real)
        found |= {f"contrast {level}": value for level, value in contrasts.items()}
        variances = principal_variances(pictures, self.real, self.basis)
        return found | {f"variance {band}": value for band, value in variances.items()}

    def cells(self, pictures: Tensor) -> list[float | None]:
        """The distances of `COLUMNS`."""
        found = self.measure(pictures)
        return [found.get(name) for name in COLUMNS]

    def floors(self) -> dict[str, Found]:
        """Mean and standard deviation over sets of as many training pictures, disjoint ones."""
        count = len(self.real)
        sets = self.training[-FLOORS * count :].split(count)
        found = [self.measure(each / 255.0) for each in sets if len(each) == count]
        scores = dict(zip(("FID", "IS"), self.inception.score(self.real), strict=True))
        floors = {FLOOR: over_sets(statistics.fmean, found) | scores}
        return floors | ({SPREAD: over_sets(statistics.stdev, found)} if len(found) > 1 else {})


def over_sets(statistic: Callable[[list[float]], float], found: Sequence[Found]) -> Found:
    """A statistic of each measure over sets of pictures."""
    return {
        name: None if value is None else statistic([one[name] for one in found])
        for name, value in found[0].items()
    }


def make_ruler(options: argparse.Namespace, bridge: Bridge) -> Ruler:
    """Load the sets and networks that the options name.

    Raises:
        ValueError: If the sets hold too few pictures, or a file is unusable.
    """
    count = checks.whole("count", options.count, least=4)
    sets = load_sets(bridge.shape, options.data, options.val)
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
    missing.append(inception.missing or FID_NOTE)
    real, basis = sets.of(options.half, count), bridge.components(COMPONENT_BANDS[-1]).cpu()
    note = " ".join([NOTE, *missing])
    return Ruler(real, sets.training, basis, network, inception, note)


def measured_tables(
    title: str, heads: Sequence[str], rows: Sequence[tuple[Sequence[Cell], Found]], note: str
) -> list[Table]:
    """Two tables with the same heads: the distances, and what should be 1.

    Args:
        title: Of the first.
        heads: Names of the leading columns.
        rows: Leading cells and measures of each row; a row without measures is one that diverged.
        note: Below the first.
    """
    names = list(dict.fromkeys(name for _, found in rows for name in found))
    names = [name for name in names if any(found.get(name) is not None for _, found in rows)]
    ratios = [name for name in names if name.startswith(RATIOS)]
    distances = [name for name in names if name not in ratios]
    tables = [
        Table(title, (*heads, *distances), note=note),
        Table("Contrast and variance", (*heads, *ratios), note=RATIO_NOTE),
    ]
    for table, columns in zip(tables, (distances, ratios), strict=True):
        for leading, found in rows:
            cells = [found.get(name) if found else math.nan for name in columns]
            table.rows.append([*leading, *cells])
    return tables
