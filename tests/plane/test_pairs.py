"""The sets that a command line names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from sbcore.plane.pairs import PLANE, Loading, open_pair, plane_end
from tests.conftest import smooth_pictures
from tests.data.idx import idx_file


@pytest.mark.parametrize("name", PLANE)
def test_sets_of_the_plane(name: str) -> None:
    points = PLANE[name](1000, torch.Generator().manual_seed(0))
    assert points.shape == (1000, 2)
    assert points.isfinite().all()
    assert plane_end(name).noise == (name == "gaussian")


def test_sets_follow_the_benchmark() -> None:
    """Moments of Tong et al.'s sets: radius 5 and covariance sqrt(0.1); moons by uniform noise."""
    eight = PLANE["8-gaussians"](40_000, torch.Generator().manual_seed(0))
    assert eight.square().sum(1).mean() == pytest.approx(25 + 2 * 0.1**0.5, rel=0.01)
    moons = PLANE["half-moons"](40_000, torch.Generator().manual_seed(0))
    assert torch.allclose(moons.mean(0), torch.tensor([0.8, 0.05]), atol=0.03)
    curve = PLANE["s-curve"](40_000, torch.Generator().manual_seed(0))
    assert curve[:, 0].abs().max() < 1.9
    assert curve[:, 1].abs().max() == pytest.approx(3, abs=0.4)


def test_pictures_are_named_by_their_folder(tmp_path: Path) -> None:
    paths = [idx_file(tmp_path / name / "a-idx3-ubyte.gz", 30) for name in ("digits", "letters")]
    first, second = open_pair(*map(str, paths), Loading(size=8))
    assert (first.name, second.name) == ("digits", "letters")
    drawn = first.draw(5, torch.Generator().manual_seed(0))
    assert drawn.shape == (5, 1, 8, 8)
    assert -1 <= drawn.min() < 0 < drawn.max() <= 1


def test_pictures_meet_a_gaussian_but_no_moons(tmp_path: Path) -> None:
    path = str(idx_file(tmp_path / "a-idx3-ubyte.gz", 30))
    noise, _ = open_pair("gaussian", path, Loading(size=8))
    assert noise.shape == (1, 8, 8)
    with pytest.raises(ValueError, match="do not go with pictures"):
        open_pair(path, "moons", Loading(size=8))


def test_unknown_set() -> None:
    with pytest.raises(ValueError, match=r"no data at banana \(sets in the plane: gaussian"):
        open_pair("moons", "banana", Loading())


def test_a_folder_of_pictures_named_gaussian_is_no_noise(tmp_path: Path) -> None:
    for name in ("gaussian", "others"):
        (tmp_path / name).mkdir()
        for i, picture in enumerate(smooth_pictures(12, 8)):
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(tmp_path / name / f"{i}.png")
    first, second = open_pair(*(str(tmp_path / n) for n in ("gaussian", "others")), Loading(8))
    assert (first.name, first.noise, second.noise) == ("gaussian", False, False)
