"""Pictures on disk: those of their seeds, drawn once, and anew when what they depend on changes."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from sbcore import Bridge, PaperMode
from studies.album import Album, paper_evaluations
from studies.report import silent
from tests.conftest import TINY
from tests.studies.conftest import no_drawing


@pytest.fixture
def album(place: Path, bridge: Bridge, tmp_path: Path) -> Album:
    return Album(tmp_path, place / "tiny", bridge)


def test_pictures_are_those_of_their_seeds_and_drawn_once(album: Album, monkeypatch) -> None:
    drawn = album.generate("", 20, 7, silent, steps=3).pictures
    assert drawn.shape == (20, *TINY.shape)
    alone = album.bridge.generate(3, seed=24, steps=3).result()
    torch.testing.assert_close(drawn[17:], alone, atol=0.51 / 255, rtol=0)  # to eight bits
    monkeypatch.setattr(Bridge, "generate", no_drawing)
    assert torch.equal(album.generate("", 20, 7, silent, steps=3).pictures, drawn)
    with pytest.raises(AssertionError):
        album.generate("", 20, 7, silent, steps=2)


def test_another_tau_or_arithmetic_has_pictures_of_its_own(
    album: Album, place: Path, tmp_path: Path
) -> None:
    paper = {"mode": "paper", "paper": PaperMode(n1=4, n2=4, drift="exact")}
    first = album.generate("", 2, 0, silent, **paper).pictures
    other, half = copy.copy(album.bridge), copy.copy(album.bridge)
    other.tau, half.bf16 = 3 * other.tau, True
    second = Album(tmp_path, place / "tiny", other).generate("", 2, 0, silent, **paper).pictures
    assert not torch.equal(first, second)
    assert Album(tmp_path, place / "tiny", half).folder != album.folder


def test_a_failed_drawing_leaves_nothing_behind(album: Album) -> None:
    def fail(n: int, seed: int) -> dict[str, torch.Tensor]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        album.draw("", 4, 0, fail, silent, way="failing")
    assert not [path for path in album.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("drift", "final"), [("ratio", True), ("exact", True), ("exact", False)])
def test_evaluations_of_paper_mode_are_those_of_its_runs(
    bridge: Bridge, drift: str, final: bool
) -> None:
    paper = PaperMode(n1=4, n2=3, drift=drift, final_denoise=final, clip=1.0)
    *_, last = bridge.generate(1, mode="paper", paper=paper)
    assert paper_evaluations(paper) == last.nfe.total
