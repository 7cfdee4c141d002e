"""The study of bridges between two sets: its truths, and a quick run of each part."""

from __future__ import annotations

import argparse
import json
import math
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch

from studies import dsb
from studies.report import Report, silent


def run(*arguments: str) -> Report:
    parser = argparse.ArgumentParser()
    dsb.add_arguments(parser)
    options = argparse.Namespace(**vars(parser.parse_args(arguments)), seed=0, quick=True)
    return dsb.run(options, silent)


def cells(report: Report, title: str) -> list[dict[str, Any]]:
    [table] = [table for table in report.tables if table.title == title]
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_w2_is_that_of_the_best_assignment() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 6, 2, generator=generator)
    best = min(float((a - b[list(p)]).square().sum(1).mean()) for p in permutations(range(6)))
    assert dsb.exact_w2(a, b) == pytest.approx(math.sqrt(best), rel=1e-5)
    assert dsb.exact_w2(a, a) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dim", [1, 50])
def test_errors_of_the_true_bridge_are_those_of_its_sample(dim: int) -> None:
    truth = dsb.gaussian_pair(dim, 1.0, seed=3)
    assert max(dsb.gaussian_floor(truth, 40_000, 0)) < 0.06
    start, end = (each.draw(4000, torch.Generator().manual_seed(0)) for each in truth.ends())
    mean, variance, coupling = dsb.gaussian_errors(truth, start, end)
    assert max(mean, variance) < 0.1
    assert coupling > 0.3  # both ends from one stream of noise: a coupling, but another


def test_generation_starts_from_a_gaussian_of_the_right_width() -> None:
    data = dsb.Ends("8-gaussians", dsb.PLANE["8-gaussians"])
    noise = dsb.blurred(data, 2.0)
    drawn, points = (each.draw(20_000, torch.Generator().manual_seed(0)) for each in (noise, data))
    torch.testing.assert_close(drawn.var(0), points.var(0) + 4, rtol=0.05, atol=0)


def test_gaussians_quickly(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(dsb, "DIMENSIONS", (5,))
    report = run("--parts", "gaussians", "--methods", "dsbm")
    rows = cells(report, "Gaussian to Gaussian: relative errors")
    assert [row["method"] for row in rows] == ["DSBM-IMF", "DSBM-IMF", "floor"]
    assert all(math.isfinite(row["coupling covariance"]) for row in rows)
    report.write(tmp_path / "dsb")
    assert (tmp_path / "dsb" / "gaussians.png").stat().st_size > 5000
    assert json.loads((tmp_path / "dsb" / "results.json").read_text())["facts"]["seed"] == 0


def test_plane_quickly() -> None:
    report = run("--parts", "plane", "--methods", "dsb", "--points", "50")
    rows = cells(report, "Exact W2 in the plane")
    names = ["DSB", f"DSB, {dsb.SPREAD}", "DSB, published", "floor", f"floor, {dsb.SPREAD}"]
    assert [row["method"] for row in rows] == names
    assert rows[2]["8-gaussians to half-moons"] == 0.987
    assert all(row["gaussian to s-curve"] > 0 for row in rows)
    assert set(report.figures) == {"plane", "iterations"}


def test_generation_quickly_and_deterministically() -> None:
    first, second = (cells(run("--parts", "generation", "--points", "50"), TITLE) for _ in range(2))
    assert first == second
    assert [row["steps"] for row in first] == [20, 30]
    assert all(row["IPF 1"] > 0 for row in first)


TITLE = "Generation from a Gaussian: exact W2"
ENTRY = {"distance": 0.5, "floor": 0.1, "energy": 2.0, "coupling": 0.3}


def test_history_is_drawn_from_the_file_that_training_leaves(tmp_path: Path) -> None:
    history = [{"forward": ENTRY, "backward": ENTRY} for _ in range(3)]
    (tmp_path / "history.json").write_text(json.dumps(history), encoding="utf-8")
    arguments = ("--parts", "history", "--model", str(tmp_path))
    [figure] = run(*arguments).figures.values()
    assert [len(line.get_xdata()) for line in figure.axes[1].lines] == [3, 3]
    assert not (tmp_path / "history.png").exists()
    run(*arguments, "--write")
    assert (tmp_path / "history.png").stat().st_size > 5000


@pytest.mark.parametrize("text", ["{", "[1]", "[]"])
def test_a_broken_history_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="no history of a training"):
        run("--parts", "history", "--model", str(tmp_path))
