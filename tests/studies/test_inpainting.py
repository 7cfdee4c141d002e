"""Inpainting: every way on every hole, and the ways that the engine does not have."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from sbcore import Bridge
from sbcore.data.masks import preset_holes
from sbcore.twostage.denoiser import Denoiser, load_denoiser
from studies import inpainting
from tests.conftest import TINY
from tests.studies.conftest import Command


@pytest.fixture(scope="module")
def denoiser(place: Path) -> Denoiser:
    return load_denoiser(place / "tiny")[0]


def test_every_way_is_measured_on_every_hole_and_a_seed_repeats_it(
    run: Command, tmp_path: Path
) -> None:
    def rows(*arguments: str) -> list[dict]:
        status, found = run("inpainting", "tiny", "--data", "train", "--quick", *arguments)
        assert status == 0
        return next(iter(found.values()))

    every = rows()
    assert [row["hole"] for row in every[::7]] == list(inpainting.HOLES)
    assert len({row["way"] for row in every}) == 7 and len(every) == 35
    for row in every:
        assert row["known-pixel error"] == 0
        assert math.isfinite(row["PSNR, one fill"]) and -1 <= row["SSIM, one fill"] <= 1
        assert row["PSNR, mean of fills"] >= row["PSNR, one fill"] - 1e-4  # by Jensen
        assert row["its standard error"] > 0
    ways = {row["way"].split(",")[0]: row["evaluations"] for row in every}
    assert ways["conditional denoiser"] == 5 and ways["Algorithm 2"] == 6
    assert ways["RePaint-style"] == 9 and ways["mean picture"] == 0
    assert len(list((tmp_path / "inpainting-tiny").glob("*.png"))) == len(inpainting.HOLES)

    equal = ("--holes", "eyes", "--ways", "conditional", "algorithm2", "repaint")
    assert [row["evaluations"] for row in rows(*equal, "--evaluations", "4")] == [4] * 3

    chosen = ("--holes", "brush", "--ways", "conditional", "algorithm2", "repaint")
    brush = [row for row in every if row["hole"] == "brush"][:3]
    assert rows(*chosen) == brush
    assert all(row not in brush for row in rows(*chosen, "--seed", "4"))


def test_mean_picture_and_classical_fills_are_what_they_are_called(
    bridge: Bridge, denoiser: Denoiser
) -> None:
    settings = inpainting.Settings(1, 2, 2, 2, 3, seed=0)
    ways = {way.title: way for way in inpainting.all_ways(bridge, denoiser, settings)}
    hole = torch.from_numpy(preset_holes(16)["centre"])
    picture = torch.full(TINY.shape, 0.4)
    filled = ways["mean picture"].fill(picture, hole, 0)[0]
    assert torch.equal(filled[:, hole], denoiser.mean[:, hole])
    for name in ("Telea (OpenCV)", "Navier-Stokes (OpenCV)"):  # they carry a plain colour on
        assert ways[name].fill(picture, hole, 0)[0, :, hole].sub(0.4).abs().max() < 0.01
