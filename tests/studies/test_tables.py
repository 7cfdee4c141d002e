"""Tables 1 and 2: rows beside the published ones, at every tau."""

from __future__ import annotations

import sys

import pytest

from sbcore import Bridge, DivergedError
from studies.distances import PIXELS

DATA = ("--data", "train", "--quick", "--features", "features")


@pytest.fixture
def without_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that lacks torch-fidelity."""
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)


def test_table1_prints_every_tau_beside_the_paper(run, without_inception, capsys) -> None:
    status, found = run("table1", "tiny", *DATA)
    (rows,) = found.values()
    assert status == 0
    named = {(row["tau / sigma^2"], row["drift"]): row for row in rows}
    assert named["2", "ratio"]["FID in the paper"] == 12.32  # the tiny model's own tau
    assert ("1", "exact") in named and ("1", "ratio") not in named
    assert named["4", "exact"]["IS in the paper"] == 8.10
    assert named["2", "exact"]["evaluations"] == 3 + 5  # none at t = 0; the last Tweedie step
    assert named["2", "ratio"]["evaluations"] == 3 * 4 + 5
    assert named["1", "exact"]["SWD, mean"] != named["4", "exact"]["SWD, mean"]
    for row in rows:
        assert row["FID"] is None and row["Frechet, features"] is not None
    text = capsys.readouterr().out
    assert "floor" in text and "torch-fidelity" in text and "--inception" in text


def test_table2_prints_published_numbers_and_the_model(run, without_inception) -> None:
    status, found = run("table2", "plain", "--data", "train", "--quick", "--paper")
    (rows,) = found.values()
    assert status == 0
    published = {row["model"]: row["FID"] for row in rows[:6]}
    assert published["WGAN-GP"] == 36.4 and published["NCSNv2"] == 10.87
    assert [row["model"].split(", ")[0] for row in rows[6:8]] == ["tiny", "tiny"]
    assert "exact drift" in rows[7]["model"]  # this one has no density ratio
    # Without a feature network of this size the other distances still stand.
    assert rows[6]["Frechet, features"] is None and rows[6]["SWD, mean"] > 0
    assert rows[8][PIXELS] < rows[6][PIXELS]


def test_a_run_that_diverges_is_a_row_that_says_so(
    run, without_inception, monkeypatch, capsys
) -> None:
    def diverge(*_: object, **__: object) -> None:
        raise DivergedError("the run diverged")

    monkeypatch.setattr(Bridge, "generate", diverge)
    assert run("table2", "tiny", "--data", "train", "--quick", "--paper")[0] == 0
    assert capsys.readouterr().out.count("diverged") == 2  # the default and paper mode
