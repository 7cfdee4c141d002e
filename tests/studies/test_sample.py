"""Many pictures on disk: named by seed, the same by how many processes, gone on with."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import evaluate
from sbcore import Bridge
from studies import sample
from tests.conftest import save_tiny
from tests.processes import in_processes
from tests.studies.conftest import Command


def work(model: Path, out: Path, *more: str) -> None:
    options = ("--n", "11", "--seed", "5", "--batch", "4", "--steps", "2", "--cpu", "--out")
    sys.argv = ["evaluate.py", "sample", str(model), *options, str(out), *more]
    assert evaluate.main() == 0


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def test_files_are_the_pictures_of_their_seeds(
    run: Command, bridge: Bridge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--n", "3", "--seed", "5", "--batch", "2", "--steps", "2", "--cpu")
    assert run("sample", "tiny", *options)[0] == 0
    assert "pictures/s" in capsys.readouterr().out
    assert sorted(contents(tmp_path)) == ["000005.png", "000006.png", "000007.png"]
    for seed in (5, 6, 7):
        drawn = bridge.generate(1, seed, steps=2).result()[0]
        file = torch.from_numpy(np.array(Image.open(tmp_path / f"{seed:06d}.png"))) / 255
        torch.testing.assert_close(file.permute(2, 0, 1), drawn, rtol=0, atol=0.6 / 255)


def test_the_bytes_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "tiny")
    for processes in (1, 2):
        in_processes(processes, work, model, tmp_path / str(processes))
    one = contents(tmp_path / "1")
    assert len(one) == 11 and contents(tmp_path / "2") == one


def test_what_is_there_is_not_drawn_again(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("sample", "tiny", "--batch", "4", "--steps", "2", "--cpu", "--n")
    assert run(*options, "10")[0] == 0
    whole, drawn, save = contents(tmp_path), [], sample.save

    def noted(path: Path, picture: torch.Tensor) -> None:
        drawn.append(path.name)
        save(path, picture)

    monkeypatch.setattr(sample, "save", noted)
    (tmp_path / "000006.png").unlink()  # as if it had been stopped in the second chunk
    assert run(*options, "10")[0] == 0
    assert drawn == [f"{seed:06d}.png" for seed in range(4, 8)]
    assert contents(tmp_path) == whole
    assert run(*options, "12")[0] == 0  # more of them
    assert drawn[4:] == [f"{seed:06d}.png" for seed in range(8, 12)]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tiny", "--batch", "3"), "holds pictures of another batch (2, not 3); choose another"),
        (("tiny", "--mode", "instant"), "holds pictures of another mode (fast, not instant)"),
        (("plain",), "holds pictures of another model"),
        (("tiny", "--steps", "0"), "steps must be a whole number of at least 1"),
    ],
)
def test_other_pictures_are_not_mixed_in(
    arguments: tuple[str, ...], said: str, run: Command, tmp_path: Path, capsys
) -> None:
    common = ("--n", "2", "--batch", "2", "--steps", "1", "--cpu")
    assert run("sample", "tiny", *common)[0] == 0
    model, *more = arguments
    assert run("sample", model, *common, *more)[0] == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and said in line


def test_a_folder_of_other_pictures_is_refused(run: Command, tmp_path: Path, capsys) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "000000.png")
    assert run("sample", "tiny", "--n", "2", "--cpu")[0] == 1
    line = capsys.readouterr().err.strip()
    assert line == f"error: {tmp_path} holds other pictures; choose another --out"
