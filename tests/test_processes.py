"""Training that several processes share is the training of one."""

from __future__ import annotations

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from sbcore.runtime import checkpoints
from tests.data.idx import idx_file
from tests.processes import in_processes

SMALL = "--preset digits --channels 8 8 --blocks 1 1 --attention 0 0 --rank 4"
SCORE = f"score {SMALL} --save-minutes 1e-9"
ROWS = 16  # of a batch, in all processes together


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """57 pictures to train on: the rows of a batch have not as many each."""
    return idx_file(tmp_path_factory.mktemp("digits") / "train-images-idx3-ubyte.gz", 60, 28)


def work(words: list[str], out: Path, steps: int, asked: int, options: dict[str, Any]) -> None:
    """Train for so many steps and note the losses, and who wrote.

    Args:
        words: Command line of train.py.
        out: Folder of the run.
        steps: How many; then the loop is left.
        asked: Step after which the last process, alone, asks to stop.
        options: Of the plan, which the command line has not.
    """
    rank, write = os.environ.get("RANK", "0"), checkpoints.write_atomically

    def noted(path: Path, *content: Any) -> None:
        out.with_suffix(f".{rank}").touch()
        write(path, *content)

    checkpoints.write_atomically = noted
    parsed = train.parse_arguments([*words, "--out", str(out), "--cpu", "--precision", "fp32"])
    vars(parsed).update(options)
    trainer = train.make_trainer(parsed)
    losses = []
    try:
        for progress in trainer:
            losses.append(progress.loss)
            if progress.step == asked and rank == "1":
                trainer.stop()
            if progress.step == steps:
                break
    except KeyboardInterrupt:
        pass
    out.with_suffix(f".losses{rank}").write_text(json.dumps(losses))


def trained(
    processes: int, command: str, data: Path, out: Path, steps: int, *more: str, asked: int = 0,
    **options: Any,
) -> list[float]:  # fmt: skip
    """Train in processes that share a batch; the mean loss that each step shows."""
    words = [*command.split(), "--data", str(data), "--images", "800", *more]
    words += ["--batch-size", str(ROWS // processes), "--lr", "1e-3"]
    in_processes(processes, work, words, out, steps, asked, {"warmup_steps": 5} | options)
    files = sorted(out.parent.glob(f"{out.name}.losses*"))
    means, *others = (json.loads(file.read_text()) for file in files)
    assert len(others) == processes - 1 and all(each == means for each in others)
    for file in files:
        file.unlink()
    return means


def losses(means: list[float]) -> list[float]:
    """Of the single steps: a fiftieth of the mean is new."""
    return [after + 49 * (after - before) for before, after in pairwise([means[0], *means])]


def assert_same(folder: Path, other: Path) -> None:
    """Weights, averages and moments, but for the order of sums.

    Adam's steps have one size, so single weights whose gradient is 0 but for that do differ.
    """
    one, two = (
        checkpoints.load_tensors(path / "training.safetensors")[0] for path in (folder, other)
    )
    assert one.keys() == two.keys()
    for group in ("model", "average", "optimizer"):
        x, y = (
            torch.cat([x.flatten() for k, x in found.items() if k.startswith(group)])
            for found in (one, two)
        )
        assert (x - y).norm() < 5e-3 * x.norm()


@pytest.mark.parametrize(
    ("steps", "options"), [(50, {}), (5, {"conditional": 0.0})], ids=["masks", "no masks"]
)
def test_two_processes_have_the_losses_of_one_and_one_writes(
    steps: int, options: dict[str, Any], digits: Path, tmp_path: Path
) -> None:
    alone = losses(trained(1, SCORE, digits, tmp_path / "one", steps, **options))
    shared = losses(trained(2, SCORE, digits, tmp_path / "two", steps, **options))
    assert shared == pytest.approx(alone, abs=1e-4) and len(shared) == steps
    assert_same(tmp_path / "one" / "training", tmp_path / "two" / "training")
    assert (tmp_path / "two.0").exists() and not (tmp_path / "two.1").exists()


def test_ratio_and_features_have_the_losses_of_one(digits: Path, tmp_path: Path) -> None:
    """The features compare each picture with those of the other process."""
    trained(1, SCORE, digits, tmp_path / "one", 1)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for command in ("ratio --channels 4", "features --size 16 --grey"):
        alone = losses(trained(1, command, digits, tmp_path / "one", 8))
        shared = losses(trained(2, command, digits, tmp_path / "two", 8))
        assert shared == pytest.approx(alone, abs=1e-4)
        training = f"training-{command.split()[0]}"
        assert_same(tmp_path / "one" / training, tmp_path / "two" / training)


def test_a_run_goes_on_in_as_many_processes_or_in_one(digits: Path, tmp_path: Path) -> None:
    """Also where one process alone was asked to stop: both stop after the next step."""
    whole, parts = trained(1, SCORE, digits, tmp_path / "whole", 9), tmp_path / "parts"
    found = trained(2, SCORE, digits, parts, 9, asked=3)
    assert len(found) == 3
    found += trained(2, SCORE, digits, parts, 7, "--resume")
    found += trained(1, SCORE, digits, parts, 9, "--resume")
    assert found == pytest.approx(whole[:3] + whole[4:], abs=1e-4)
    assert_same(tmp_path / "whole" / "training", parts / "training")
