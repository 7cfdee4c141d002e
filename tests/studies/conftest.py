"""A folder as a user has it: pictures, a trained model, a feature network; and the command."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

import evaluate
from sbcore import Bridge
from sbcore.features import FeatureNet, save_features
from studies.distances import Ruler, make_ruler
from tests.conftest import TINY, save_tiny, smooth_pictures

Command = Callable[..., tuple[int, dict]]


def save_pictures(folder: Path, pictures: torch.Tensor) -> None:
    """Write uint8 pictures (n, 3, h, w) as PNG files."""
    folder.mkdir(parents=True)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{i:02d}.png")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 training and 40 held-out pictures, the tiny model with and without its ratio network."""
    folder = tmp_path_factory.mktemp("studies")
    save_pictures(folder / "train", smooth_pictures(40))
    save_pictures(folder / "val", smooth_pictures(40, seed=1))
    save_tiny(folder / "tiny")
    save_tiny(folder / "plain", ratio=False)
    torch.manual_seed(0)
    save_features(folder / "features", FeatureNet(TINY.shape, (8, 16)))
    return folder


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs ``evaluate.py`` in that folder: its exit status, and the tables it wrote."""
    monkeypatch.chdir(place)

    def call(*arguments: str, out: Path = tmp_path) -> tuple[int, dict]:
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments, "--out", str(out)])
        status = evaluate.main()
        found = sorted(out.glob(f"{arguments[0]}*/results.json"))
        text = found[0].read_text(encoding="utf-8") if found else "{}"
        return status, json.loads(text).get("tables", {})

    return call


@pytest.fixture
def ruler(place: Path, bridge: Bridge) -> Callable[..., Ruler]:
    """Makes the ruler of the tiny model for sets of ``count`` pictures."""

    def made(count: int = 8, half: str = "reporting") -> Ruler:
        options = argparse.Namespace(
            data=place / "train", val=place / "val", features=place / "features",
            inception=None, count=count, half=half,
        )  # fmt: skip
        return make_ruler(options, bridge)

    return made


def no_drawing(*_: object, **__: object) -> None:
    """In the place of `Bridge.generate`, where the pictures should come from disk."""
    raise AssertionError("the pictures are on disk")
