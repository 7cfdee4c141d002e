"""Samplers: every row, measured beside its floor, and held against paper mode."""

from __future__ import annotations

import argparse

import torch

from sbcore import DEFAULTS, Bridge
from studies import samplers
from studies.distances import FLOOR, PIXELS, SPREAD, SWD
from tests.studies.conftest import Command, no_drawing

QUICK = ("samplers", "tiny", "--data", "train", "--quick", "--features", "features")


def test_every_row_is_measured_and_nothing_drawn_twice(run: Command, tmp_path, monkeypatch) -> None:
    status, found = run(*QUICK)
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

    monkeypatch.setattr(Bridge, "generate", no_drawing)
    status, again = run(*QUICK, "--starts", "network", "--no-ablations")
    assert status == 0
    assert all(row in rows for row in next(iter(again.values())))  # and deterministic


def test_without_a_density_ratio_paper_mode_takes_the_exact_drift(
    bridge_without_ratio: Bridge,
) -> None:
    options = argparse.Namespace(paper=("ratio", "exact"), paper_steps=4)
    titles = [row.title for row in samplers.paper_rows(bridge_without_ratio, options)]
    assert titles == ["paper mode: exact drift", "paper mode: exact drift, no last Tweedie step"]


def test_fast_default_is_held_against_paper_mode_and_its_spread(ruler) -> None:
    made = ruler(16)
    options = DEFAULTS["generate"]._asdict() | {"start": "closed form"}
    paper = samplers.Row(samplers.PAPER, "point mass", {"paper": None}, 4001)
    fast = samplers.Row("fast", "closed form at sigma", options, options["steps"])
    good = made.training[:16] / 255.0
    bad = 0.2 * good  # far too dark

    def verdicts(first: torch.Tensor, second: torch.Tensor) -> dict[str, str]:
        found = {row: (x, made.measure(x)) for row, x in ((fast, first), (paper, second))}
        return {row[0]: row[-1] for row in samplers.against_paper(found, made).rows}

    assert set(verdicts(good, good).values()) == {"yes"}
    worse, better = verdicts(bad, good), verdicts(good, bad)
    assert worse[PIXELS] == worse["contrast 16"] == "no"
    assert better[PIXELS] == better["contrast 16"] == "yes"
    assert not samplers.against_paper({}, made).rows
