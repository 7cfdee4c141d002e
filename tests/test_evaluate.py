"""``python evaluate.py card``, on the tiny model and its training pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

import evaluate
from sbcore.runtime.trainer import Plan
from sbcore.twostage.denoiser import DenoiserConfig
from sbcore.twostage.training import Preset, score_trainer
from tests.conftest import TINY, smooth_pictures


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model after two steps, beside its pictures; the working folder is there too."""
    monkeypatch.chdir(tmp_path)
    sets = {"train": smooth_pictures(40), "val": smooth_pictures(20, seed=1)}
    for name, pictures in sets.items():
        (tmp_path / name).mkdir()
        for i, picture in enumerate(pictures):
            image = Image.fromarray(picture.permute(1, 2, 0).numpy())
            image.save(tmp_path / name / f"{i:02d}.png")
    network: DenoiserConfig = TINY
    preset = Preset("tiny", network, sigma=2.0, tau=8.0)
    plan = Plan(images=8, batch_size=4)
    list(score_trainer(sets["train"], sets["val"], preset, plan, tmp_path / "tiny", cpu=True))
    return tmp_path / "tiny"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments])
    return evaluate.main()


def test_card_is_printed_and_written(trained, monkeypatch, capsys):
    options = ["--data", "train", "--count", "16"]
    assert run(monkeypatch, "card", str(trained), *options, "--write") == 0
    printed = capsys.readouterr().out
    assert (trained / "README.md").read_text(encoding="utf-8").strip() == printed.strip()
    assert "8 images seen" in printed and "floor" in printed
    assert (trained / "sheet.png").exists() and Path("results/card-tiny/neighbours.png").exists()


def test_without_write_the_model_folder_is_left_alone(trained, monkeypatch):
    assert run(monkeypatch, "card", str(trained), "--data", "train", "--count", "16") == 0
    assert not (trained / "README.md").exists()
    assert Path("results/card-tiny/README.md").exists()


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["nosuch", "--data", "train"], "nosuch"),
        (["tiny", "--data", "nosuch", "--val", "val"], "nosuch"),
        (["tiny", "--data", "val"], "--val"),
        (["tiny", "--data", "train", "--count", "1000"], "1000"),
    ],
)
def test_bad_arguments_are_a_sentence(trained, monkeypatch, capsys, arguments, wanted):
    assert run(monkeypatch, "card", *arguments) == 1
    error = capsys.readouterr().err
    assert wanted in error and "Traceback" not in error
