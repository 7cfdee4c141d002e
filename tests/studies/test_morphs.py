"""Morphs: every way on the same pairs, and what is measured of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from studies import morphs
from tests.studies.conftest import Command


def test_every_way_is_measured_on_the_same_pairs(run: Command, tmp_path: Path) -> None:
    arguments = ("morphs", "tiny", "--data", "train", "--features", "features", "--quick")
    status, found = run(*arguments)
    assert status == 0
    inversion, shared, mix, floor = next(iter(found.values()))
    assert inversion["PSNR of the ends"] > 35 > shared["PSNR of the ends"]
    assert mix["PSNR of the ends"] is None and mix["evaluations"] == 0  # they are the pictures
    assert mix["its variation along a morph"] == pytest.approx(0, abs=1e-4)
    for row in (inversion, shared, mix, floor):
        assert math.isfinite(row["Frechet distance of middles"])
    assert (tmp_path / "morphs-tiny" / "sheet.png").exists()
    assert run(*arguments)[1] == found


def test_changes_and_ends_are_measured_by_their_formulas() -> None:
    pictures = torch.zeros(2, 1, 2, 2)
    pictures[1] = 0.4
    frames = torch.tensor([0.1, 0.2, 0.5]).view(1, 3, 1, 1, 1).expand(1, 3, 1, 2, 2)
    psnr, spread, worst, change, variation = morphs.measured(frames, pictures)
    assert (psnr, worst) == pytest.approx((20, 20)) and spread == pytest.approx(0, abs=1e-5)
    assert change == pytest.approx(255 * 0.2) and variation == pytest.approx(0.5)
