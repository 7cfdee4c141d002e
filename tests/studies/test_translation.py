"""Translated pictures before a judge, on glyphs of eight bars and an untrained model."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sbcore.data.pictures import load_labels
from sbcore.ipf.network import NetworkConfig, Pair, save_translation
from studies.classifier import accuracy, train_classifier
from studies.report import silent
from tests.studies.test_dsb import run

CLASSES = 4
CONFIG = NetworkConfig((1, 28, 28), patch=4, channels=(8,), blocks=(1,), attention=(False,))


def bars(n: int, upright: bool) -> tuple[np.ndarray, np.ndarray]:
    """One bar on each picture; its place is the class."""
    labels = np.arange(n) % CLASSES
    pictures = np.zeros((n, 28, 28), np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        place = slice(4 + 5 * label, 7 + 5 * label)
        picture[(slice(4, 24), place) if upright else (place, slice(4, 24))] = 255
    return pictures, labels.astype(np.uint8)


def write_idx(folder: Path, pictures: np.ndarray, labels: np.ndarray) -> Path:
    folder.mkdir()
    for name, values in (("images-idx3", pictures), ("labels-idx1", labels)):
        head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
        (folder / f"t-{name}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))
    return folder / "t-images-idx3-ubyte.gz"


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("sets")
    paths = [write_idx(folder / name, *bars(210, name == "up")) for name in ("up", "across")]
    return str(paths[0]), str(paths[1])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    pair = Pair(CONFIG)
    pair.measure(torch.zeros(2, 1, 28, 28), torch.ones(2, 1, 28, 28), 1.0)
    plan = {"half_steps": 5, "first": 2.0, "batch_size": 4}
    training = {"half_bridges": 4, "seconds": 60, "device": "a test", "plan": plan}
    config = {"sets": ["up", "across"], "method": "dsbm", "sigma": 1.0, "steps": 3, "contrast": 1.0}
    save_translation(tmp_path / "bars", pair, config | {"training": training})
    return tmp_path / "bars"


def test_a_row_for_each_iteration_and_a_card(model: Path, sets: tuple[str, str]) -> None:
    files = list(model.iterdir())
    for folder in (model / "training" / "iteration-1", model / "training" / "iteration-2"):
        folder.mkdir(parents=True)
        for file in files:
            shutil.copy(file, folder)
    arguments = ("--model", str(model), "--source", sets[0], "--target", sets[1], "--write")
    [table] = run("--parts", "pictures", *arguments).tables
    titles = [row[1] for row in table.rows]
    assert titles[:3] == ["not translated", "iteration 1", "iteration 2"]
    assert [row[0] for row in table.rows] == 4 * ["up to across"] + 4 * ["across to up"]
    distances = {row[1]: row[-1] for row in table.rows[:4]}
    assert distances["real across of the training set"] < distances["not translated"]
    card = (model / "README.md").read_text()
    assert table.markdown() in card
    assert "120 pictures seen" in card  # 4 * (2 * 10 + 2 * 5)
    assert (model / "sheet.png").exists()


def test_classifier_learns_and_heeds_its_seed() -> None:
    pictures, labels = bars(400, upright=True)
    x, y = torch.from_numpy(pictures)[:, None] / 255, torch.from_numpy(labels).long()
    learned = train_classifier(x, y, 4, seed=1, progress=silent)
    assert accuracy(learned, x, y) > 0.9
    assert accuracy(learned, x, (y + 1) % CLASSES, least=0.5) < 0.1
    first, again, other = (
        train_classifier(x[:100], y[:100], 1, seed=seed, progress=silent).features(x[:5])
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_labels_lie_beside_the_pictures(sets: tuple[str, str], tmp_path: Path) -> None:
    assert load_labels(sets[0])[:5].tolist() == [0, 1, 2, 3, 0]
    alone = tmp_path / "t-images-idx3-ubyte"
    alone.write_bytes(b"")
    with pytest.raises(ValueError, match="no labels beside"):
        load_labels(alone)
    (tmp_path / "t-labels-idx1-ubyte").write_bytes(b"\0\0\x08\1\0\0\0\5ab")
    with pytest.raises(ValueError, match="truncated"):
        load_labels(alone)


def test_a_classifier_on_too_few_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 100 labelled pictures, got 10"):
        train_classifier(torch.zeros(10, 1, 28, 28), torch.zeros(10).long(), 1, 0, silent)
