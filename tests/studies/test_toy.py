"""``python evaluate.py toy``: the quick study, and its parts against closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from sbcore import DISTRIBUTIONS, PaperMode, PlaneBridge
from studies import toy
from studies.report import silent
from tests.studies.conftest import Command


def test_quick_study_writes_tables_and_figures(
    run: Command, tmp_path: Path, monkeypatch, capsys
) -> None:
    two = {name: DISTRIBUTIONS[name] for name in (toy.PAPER, "moons")}
    monkeypatch.setattr(toy, "DISTRIBUTIONS", two)
    status, tables = run("toy", "--quick", "--steps", "8")
    folder = tmp_path / "toy"
    written = (folder / "README.md").read_text(encoding="utf-8").strip()
    assert status == 0 and written == capsys.readouterr().out.strip()
    samples, algorithm, velocity = tables.values()
    assert len(samples) == 2 * 2 + 1  # learned and exact, and the GAN
    assert all(row["floor"] > 0 and row["sliced W2"] > 0 for row in samples)
    assert {row["evaluations"] for row in samples} == {8, 1}
    assert {row["networks"] for row in algorithm} == {"learned", "exact"}
    printed, bounded = [], []
    for row in algorithm:
        (printed if "printed" in row["drift of stage 1"] else bounded).append(row)
    assert any(row["sliced W2"] is None for row in printed)
    assert all(row["ratio"] < 4 for row in bounded)
    assert [(row["stage"], row["t"]) for row in velocity] == list(toy.TIMES)
    for name in ("densities", "velocities", "shapes"):
        assert Image.open(folder / f"{name}.png").width > 500


@pytest.mark.parametrize("stage", [1, 2])
def test_states_have_the_variance_of_the_process(stage: int) -> None:
    bridge, t = PlaneBridge(DISTRIBUTIONS["rings"], 0.8, 3.0), 0.4
    found = toy.states(bridge, stage, t, 20_000, seed=0).T.cov()
    data, unit = bridge.distribution.covariance, torch.eye(2)
    if stage == 1:
        wanted = t**2 * (data + 0.8**2 * unit) + 3.0 * t * (1 - t) * unit
    else:
        wanted = data + 0.8**2 * (1 - t) * unit
    torch.testing.assert_close(found, wanted, atol=0.03 * float(wanted.max()), rtol=0)


def test_density_of_the_states_is_that_of_their_histogram() -> None:
    bridge = PlaneBridge(DISTRIBUTIONS["six-gaussians"])
    points = toy.states(bridge, 1, 0.9, 40_000, seed=0)
    where = torch.tensor([[4.5, 0.0], [0.0, 0.0], [3.2, 1.9]])
    counts = (torch.cdist(where, points) < 0.4).sum(1).float()
    density = toy.state_density(bridge, 1, 0.9, where)
    torch.testing.assert_close(counts / counts[0], density / density[0], atol=0.15, rtol=0)


def test_z_counts_standard_errors() -> None:
    even = torch.full((6,), 1 / 6)
    assert toy.deviation(even, 1000) == pytest.approx(0, abs=1e-4)
    error = math.sqrt(1 / 6 * 5 / 6 / 1000)
    moved = even + error * torch.tensor([2.0, -2.0, 0, 0, 0, 0])
    assert toy.deviation(moved, 1000) == pytest.approx(2, rel=1e-3)


def test_a_diverged_row_has_no_distances() -> None:
    bridge = PlaneBridge(DISTRIBUTIONS["six-gaussians"])
    lost, *rest = toy.algorithm_row(bridge, PaperMode(n1=10, n2=2), "exact", 50, seed=0)
    assert float(lost.rstrip("%")) > 0 and all(math.isnan(number) for number in rest)
    paper = PaperMode(n1=10, n2=10, drift="exact")
    lost, *rest = toy.algorithm_row(bridge, paper, "exact", 50, seed=0)
    assert lost == "0" and all(math.isfinite(number) for number in rest)


def test_gan_learns_the_place_of_the_data_and_is_reproducible() -> None:
    moons = DISTRIBUTIONS["moons"]
    first, again = (toy.train_gan(moons, 2, 0, silent)(500, 1) for _ in range(2))
    assert torch.equal(first, again) and first.shape == (500, 2)
    learned = toy.train_gan(moons, 150, 0, silent)(500, 1)
    bridge = PlaneBridge(moons)
    assert bridge.distances(learned)["sliced_w2"] < bridge.distances(first)["sliced_w2"]
