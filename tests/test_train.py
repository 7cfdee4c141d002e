"""The command line of training: what it trains, how it stops, what it refuses."""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import train
from sbcore import Bridge, TranslationBridge
from sbcore.runtime import checkpoints
from tests.conftest import REPOSITORY, smooth_pictures
from tests.data.idx import idx_file

Run = Callable[..., int]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return idx_file(tmp_path_factory.mktemp("digits") / "train-images-idx3-ubyte.gz", 60, 28)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in this process; its exit code."""

    def call(*arguments: Any) -> int:
        monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
        handlers = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            return train.main()
        finally:
            for name, handler in handlers.items():
                signal.signal(name, handler)

    return call


def command(*arguments: Any) -> list[str]:
    return [sys.executable, "train.py", *map(str, arguments)]


SMALL = ("--preset", "digits", "--channels", 8, 8, 8, "--rank", 4)
COMMON = ("--batch-size", 16, "--cpu", "--precision", "fp32")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def call(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def steps_in(folder: Path) -> int:
    _, metadata = checkpoints.load_tensors(folder / "training.safetensors")
    return json.loads(metadata["counters"])["step"]


def test_command_line_is_stopped_by_ctrl_c_resumes_and_adds_the_density_ratio(
    digits: Path, tmp_path: Path
) -> None:
    out, log = tmp_path / "digits", tmp_path / "log"
    score = ("score", "--data", digits, "--out", out, *SMALL, *COMMON)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(*score, "--images", 10**6), cwd=REPOSITORY, env=ENVIRONMENT, stderr=file
        )
        try:
            deadline = time.monotonic() + 60
            while b"loss" not in log.read_bytes() and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert "Traceback" not in log.read_text() and "is usable" in log.read_text()
    done = steps_in(out / "training")
    assert done > 0
    assert Bridge.from_pretrained(out, "cpu").generate(1, steps=2).result().isfinite().all()

    resumed = call(*score, "--images", 16 * (done + 2), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "held-out" in resumed.stdout + resumed.stderr
    assert steps_in(out / "training") == done + 2

    ratio = call("ratio", "--data", digits, "--out", out, "--images", 32, "--channels", 4, *COMMON)
    assert ratio.returncode == 0, ratio.stderr
    bridge = Bridge.from_pretrained(out, "cpu")
    assert bridge.name == "digits" and bridge.shape == (1, 28, 28) and bridge.has_density_ratio


def test_command_line_says_in_one_line_that_there_is_no_data(tmp_path: Path) -> None:
    done = call("score", "--data", tmp_path / "nothing", "--out", tmp_path / "out", *COMMON)
    assert done.returncode == 1
    assert done.stderr.strip() == f"error: no data at {tmp_path / 'nothing'}"
    assert not (tmp_path / "out").exists()


# ----------------------------------------------------------------------------------------------
# Options


@pytest.mark.parametrize("name", train.COMMANDS)
def test_every_option_has_a_meaning_and_every_command_an_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        train.parse_arguments([name, "--help"])
    text = capsys.readouterr().out
    assert f"python train.py {name} " in text
    found = re.findall(r"^  (--[a-z-]+)(?: \S+)*?\s{2,}(\w.* .*)$", text, re.MULTILINE)
    listed = set(re.findall(r"--[a-z-]+", text.split("\n\n")[0]))
    assert dict(found).keys() == listed and len(listed) > 5
    for flag in () if name == "mixture" else ("--lr", "--batch-size", "--seed", "--precision", "--save-minutes"):
        assert re.search(r"\(default: [\w.]+\)$", dict(found)[flag]), flag


def options(*arguments: str) -> argparse.Namespace:
    return train.parse_arguments([*arguments, "--out", "x"])


def test_defaults_are_those_of_the_plans() -> None:
    score = options("score", "--data", "d")
    assert (score.batch_size, score.learning_rate, score.ema) == (32, 5e-4, 0.05)
    assert score.channels is None and score.preset == "celeba64"
    assert options("ratio", "--data", "d").learning_rate == 1e-4
    features = options("features", "--data", "d")
    assert (features.batch_size, features.learning_rate) == (128, 2e-3)
    dsb = options("dsb", "--source", "a", "--target", "b")
    assert (dsb.method, dsb.half_steps, dsb.cache, dsb.channels) == ("dsbm", 1000, 2048, (64, 128))


def test_training_draws_nothing_and_knows_no_study() -> None:
    tree = ast.parse((REPOSITORY / "train.py").read_text(encoding="utf-8"))
    names = [
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert not {str(name).split(".")[0] for name in names} & {"studies", "matplotlib"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "--images", "0"], "images must be a whole number"),
        (["score", "--max-minutes", "nan"], "max_minutes must be a finite number > 0"),
        (["score", "--images", "9", "--lr", "0"], "learning_rate must be a finite"),
        (["score", "--images", "9", "--ema", "0"], "ema must be a finite"),
        (["score", "--images", "9", "--channels", "8", "8"], "same length"),
        (["score", "--images", "9", "--rank", "100000"], "rank must be in"),
        (["score", "--images", "9", "--limit", "1"], "at least 2 are needed"),
        (["score", "--images", "9", "--val", "nowhere"], "no data at nowhere"),
        (["ratio", "--images", "9"], "no config.json|no checkpoint folder|could not be fetched"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_1(
    arguments: list[str],
    message: str,
    digits: Path,
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "out").mkdir()
    small = ["--preset", "digits"] if arguments[0] == "score" else []
    options = [*arguments, "--data", str(digits), "--out", str(tmp_path / "out"), "--cpu", *small]
    assert run(*options) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    assert re.search(message, lines[0]), lines[0]


# ----------------------------------------------------------------------------------------------
# Nothing is lost


SCORE = ("score", *SMALL, *COMMON, "--images", 32)


def line(capsys: pytest.CaptureFixture[str]) -> str:
    [found] = capsys.readouterr().err.strip().splitlines()
    return found


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_is_there_is_replaced_only_on_demand(
    digits: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (*SCORE, "--data", digits, "--out", tmp_path)
    assert run(*command) == 0
    before = contents(tmp_path)
    capsys.readouterr()
    assert run(*command) == 1
    assert re.match(r"error: .* --resume goes on, --overwrite begins anew$", line(capsys))
    assert run("dsb", "--source", "moons", "--target", "rings", "--out", tmp_path, "--cpu") == 1
    assert contents(tmp_path) == before
    assert run(*command, "--seed", 1, "--overwrite") == 0
    assert contents(tmp_path) != before


def test_a_model_without_its_run_is_replaced_only_on_demand(
    digits: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    for resume in ((), ("--resume",)):
        assert run(*SCORE, "--data", digits, "--out", tmp_path, *resume) == 1
        assert re.match("error: .* no run to resume: --overwrite replaces it$", line(capsys))
    assert (tmp_path / "config.json").read_text() == "{}"


def test_a_finished_run_says_that_nothing_is_left(
    digits: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (*SCORE, "--data", digits, "--out", tmp_path)
    assert run(*command) == 0
    before = contents(tmp_path)
    assert run(*command, "--images", 16, "--resume") == 0
    assert "Nothing is left to do: 32 images are done" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_trunk_is_finished_in_a_branch(
    digits: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("score", *SMALL, *COMMON, "--data", digits, "--out", tmp_path)
    assert run(*command, "--finish", 32) == 1
    assert "there is no run to finish" in capsys.readouterr().err
    assert run(*command, "--open-ended", "--max-minutes", 1e-9) == 0
    trunk = (tmp_path / "training" / "training.safetensors").read_bytes()
    assert run(*command, "--finish", 32) == 0
    assert steps_in(tmp_path / "training-finish") == steps_in(tmp_path / "training") + 2
    assert (tmp_path / "training" / "training.safetensors").read_bytes() == trunk
    assert run(*command, "--finish", 32) == 1  # the branch is there already


def test_density_ratio_of_unmirrored_data_is_trained_unmirrored(
    digits: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mirrored digits are no digits: `ratio` must follow what `score` did."""
    command = ("--data", digits, "--out", tmp_path, "--images", 16, "--cpu")
    assert run("score", *SMALL, *command) == 0
    seen: dict[str, Any] = {}

    def watched(*arguments: Any, **given: Any) -> Any:
        seen.update(given)
        raise ValueError("seen")

    monkeypatch.setattr(train, "ratio_trainer", watched)
    assert run("ratio", *command) == 1
    assert seen["flip"] is False


# ----------------------------------------------------------------------------------------------
# Bridges between two sets


SHORT = ("--half-steps", "3", "--iterations", "1", "--batch-size", "8", "--cache", "16", "--cpu")
SHORT += ("--evaluate", "8", "--steps", "3")


def test_command_trains_points_and_resumes(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ("--source", "moons", "--target", "spirals", "--out", str(tmp_path / "m"))
    assert run("dsb", *sets, *SHORT) == 0
    assert "iteration 1, forward trained" in capsys.readouterr().out
    assert run("dsb", *sets, *SHORT, "--iterations", "2", "--resume") == 0
    history = json.loads((tmp_path / "m" / "history.json").read_text())
    assert [entry["iteration"] for entry in history] == [1, 1, 2, 2]
    bridge = TranslationBridge.from_pretrained(tmp_path / "m")
    assert bridge.sets == ("moons", "spirals")
    assert bridge.translate(torch.zeros(3, 2)).result().shape == (3, 2)


def test_command_out_of_time_says_how_to_go_on(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ("--source", "moons", "--target", "rings", "--out", str(tmp_path / "m"))
    options = ("--max-minutes", "1e-9", "--method", "dsb", "--printed")
    assert run("dsb", *sets, *SHORT, *options) == 0
    assert "of iteration 1, step 1; --resume continues" in capsys.readouterr().err
    bridge = TranslationBridge.from_pretrained(tmp_path / "m")
    assert bridge.facts["training"]["plan"]["printed"]
    assert bridge.translate(torch.zeros(3, 2)).result().shape == (3, 2)


def test_names_do_not_hide_the_noise(tmp_path: Path, run: Run) -> None:
    path = str(idx_file(tmp_path / "a" / "a-idx3-ubyte.gz", 30))
    sets = ("--source", "gaussian", "--target", path, "--out", str(tmp_path / "m"))
    options = ("--size", "8", "--channels", "8", "16", "--names", "static", "glyphs")
    assert run("dsb", *sets, *SHORT, *options) == 0
    bridge = TranslationBridge.from_pretrained(tmp_path / "m")
    assert bridge.sets == ("static", "glyphs")
    assert bridge.starts_from_noise("forward") and not bridge.starts_from_noise("backward")
    assert bridge.translate(0.5 + 0.5 * torch.randn(2, 1, 8, 8)).result().shape == (2, 1, 8, 8)


def test_command_trains_pictures(tmp_path: Path, run: Run) -> None:
    paths = [str(idx_file(tmp_path / f"{i}" / "a-idx3-ubyte.gz", 30)) for i in range(2)]
    options = ("--size", "8", "--channels", "8", "16", "--method", "dsb", "--license", "free")
    sets = ("--source", paths[0], "--target", paths[1], "--out", str(tmp_path / "m"))
    assert run("dsb", *sets, *SHORT, *options) == 0
    bridge = TranslationBridge.from_pretrained(tmp_path / "m")
    assert bridge.translate(smooth_pictures(1, 8, 1) / 255, "backward").result().shape == (
        1,
        1,
        8,
        8,
    )
    assert bridge.facts["data"] == {"name": "0, 1", "license": "free"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--steps", "0"), "steps must be a whole number of at least 1"),
        (("--sigma", "-1"), "sigma must be a finite number > 0"),
        (("--target", "nowhere.zip"), "no data at nowhere.zip"),
        (("--width", "0"), "width, patch and blocks must be at least 1"),
    ],
)
def test_command_refuses_with_a_sentence(
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    sets = ("--source", "moons", "--target", "rings", "--out", str(tmp_path / "m"))
    assert run("dsb", *sets, *SHORT, *options) == 1
    assert message in capsys.readouterr().err


def test_one_picture_is_no_set(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(idx_file(tmp_path / f"{n}" / "a-idx3-ubyte.gz", n)) for n in (30, 1)]
    sets = ("--source", paths[0], "--target", paths[1], "--out", str(tmp_path / "m"))
    assert run("dsb", *sets, *SHORT, "--size", "8") == 1
    assert "1 pictures; at least 2 are needed" in capsys.readouterr().err


def test_training_never_sees_the_pictures_that_report(tmp_path: Path) -> None:
    for name, count in (("train", 40), ("val", 10)):
        (tmp_path / name).mkdir()
        for i, picture in enumerate(smooth_pictures(count, seed=count)):
            array = picture.permute(1, 2, 0).numpy()
            Image.fromarray(array).save(tmp_path / name / f"{i:03d}.png")
    options = train.parse_arguments(
        ["score", "--data", str(tmp_path / "train"), "--out", str(tmp_path / "model")]
    )
    pictures, held_out = train.load_pictures(options, 16, 3)
    assert len(pictures) == 40 and torch.equal(held_out, smooth_pictures(10, seed=10)[:5])
