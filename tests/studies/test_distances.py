"""The ruler: what is compared with what, and what its floors are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studies.distances import FLOOR, PIXELS, SPREAD, SWD, measured_tables
from studies.sets import load_sets
from tests.conftest import TINY, smooth_pictures


def test_selection_and_reporting_share_no_picture(ruler) -> None:
    selection, reporting = (smooth_pictures(40, seed=1) / 255.0).split(20)
    torch.testing.assert_close(ruler(20, "selection").real, selection)
    torch.testing.assert_close(ruler(20, "reporting").real, reporting)


def test_a_set_against_itself_is_perfect_and_a_dark_one_is_not(ruler) -> None:
    made = ruler()
    same, dark = made.measure(made.real), made.measure(0.5 * made.real)
    assert same[PIXELS] == pytest.approx(0, abs=1e-6) and same["mean picture"] == 0
    assert same["precision"] == same["recall"] == 1
    assert same["contrast 16"] == pytest.approx(1) and same["variance rest"] == pytest.approx(1)
    assert dark["contrast 16"] == pytest.approx(0.5)
    assert dark["variance 0-4"] == pytest.approx(0.25, rel=1e-4)
    assert dark[SWD] > 2 * same[SWD]


def test_floors_are_of_training_pictures_with_their_spread(ruler, place: Path) -> None:
    made = ruler()
    training = load_sets(TINY.shape, str(place / "train")).training
    found = torch.tensor([made.measure(part / 255.0)[PIXELS] for part in training[-32:].split(8)])
    floors = made.floors()
    assert floors[FLOOR][PIXELS] == pytest.approx(float(found.mean()))
    assert floors[SPREAD][PIXELS] == pytest.approx(float(found.std()))
    assert list(ruler(20).floors()) == [FLOOR, SPREAD]  # two sets of 20


def test_a_row_that_diverged_says_so_and_missing_measures_have_no_column() -> None:
    rows = [(("good",), {"SWD": 1.0, "FID": None, "contrast 16": 0.9}), (("bad",), {})]
    first, second = measured_tables("Sets", ("set",), rows, "")
    assert first.columns == ("set", "SWD") and second.columns == ("set", "contrast 16")
    assert "| bad | diverged |" in first.markdown() and "| bad | diverged |" in second.markdown()
