"""Samplers: every row, measured beside its floor, and held against paper mode."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from sbcore import DEFAULTS, Bridge
from studies import samplers
from studies.distances import FLOOR, PIXELS, SPREAD, SWD, Ruler, make_ruler
from tests.studies.conftest import Command

DATA = ("--data", "train", "--quick", "--features", "features")


def test_every_row_is_measured_and_nothing_drawn_twice(run: Command, tmp_path, monkeypatch) -> None:
    status, found = run("samplers", "tiny", *DATA)
    assert status == 0
    rows, ratios, against = found.values()
    assert {row["no worse"] for row in against} <= {"yes", "no"} and against
    titles = [row["sampler"] for row in rows]
    assert titles[:2] == [FLOOR, SPREAD] and titles == [row["sampler"] for row in ratios]
    assert samplers.PAPER in titles and f"{samplers.PAPER}, no last Tweedie step" in titles
    starts = {row["start"] for row in rows}
    assert {*samplers.STARTS.values(), "N(mean, sigma^2)", "point mass"} <= starts
    assert all(row[SWD] > 0 for row in rows)
    assert all(row["contrast 16"] > 0 and row["variance 0-4"] > 0 for row in ratios)
    noisy = next(row for row in rows if row["sampler"].endswith("ratio, no last Tweedie step"))
    clean = next(row for row in rows if row["sampler"] == samplers.PAPER)
    assert noisy["evaluations"] == clean["evaluations"] - 1
    assert noisy[PIXELS] != clean[PIXELS]
    for name in ("README.md", "swd.png", "sheet.png"):
        assert (tmp_path / "samplers-tiny" / name).exists()

    def no_drawing(*_: object, **__: object) -> None:
        raise AssertionError("the pictures are on disk")

    monkeypatch.setattr(Bridge, "generate", no_drawing)
    assert run("samplers", "tiny", *DATA) == (0, found)  # and deterministic


def test_without_a_density_ratio_paper_mode_takes_the_exact_drift(run: Command) -> None:
    status, found = run("samplers", "plain", *DATA)
    rows, _, against = found.values()
    assert status == 0 and not against
    titles = [row["sampler"] for row in rows]
    assert samplers.PAPER not in titles and "paper mode: exact drift" in titles


@pytest.fixture
def ruler(place: Path, bridge: Bridge) -> Ruler:
    options = argparse.Namespace(
        data=place / "train", val=place / "val", features=place / "features",
        inception=None, count=16, half="reporting",
    )  # fmt: skip
    return make_ruler(options, bridge)


def test_fast_default_is_held_against_paper_mode_and_its_spread(ruler: Ruler) -> None:
    options = DEFAULTS["generate"]._asdict() | {"start": "closed form"}
    paper = samplers.Row(samplers.PAPER, "point mass", {"paper": None}, 4001)
    fast = samplers.Row("fast", "closed form at sigma", options, options["steps"])
    good = ruler.training[:16] / 255.0
    bad = 0.2 * good  # far too dark

    def verdicts(first: torch.Tensor, second: torch.Tensor) -> dict[str, str]:
        found = {row: (x, ruler.measure(x)) for row, x in ((fast, first), (paper, second))}
        return {row[0]: row[-1] for row in samplers.against_paper(found, ruler).rows}

    assert set(verdicts(good, good).values()) == {"yes"}
    assert verdicts(bad, good)[PIXELS] == "no" and verdicts(bad, good)["contrast 16"] == "no"
    assert verdicts(good, bad)[PIXELS] == "yes" and verdicts(good, bad)["contrast 16"] == "yes"
