"""The command line of training: what it trains, how it stops, what it refuses."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from sbcore import Bridge, TranslationBridge
from sbcore.runtime import checkpoints
from sbcore.runtime.lock import locked
from tests.conftest import REPOSITORY, smooth_pictures
from tests.data.idx import idx_file
from tests.studies.conftest import save_pictures

Run, Refusal = Callable[..., int], Callable[..., str]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return idx_file(tmp_path_factory.mktemp("digits") / "train-images-idx3-ubyte.gz", 60, 28)


@pytest.fixture
def run(monkeypatch) -> Run:
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


@pytest.fixture
def refusal(run: Run, capsys) -> Refusal:
    """Run a command that is refused; the one line that it says."""

    def call(*arguments: Any) -> str:
        capsys.readouterr()
        assert run(*arguments) == 1
        [line] = capsys.readouterr().err.strip().splitlines()
        return line

    return call


SMALL = ("--preset", "digits", "--channels", 8, 8, 8, "--rank", 4)
COMMON = ("--batch-size", 16, "--cpu", "--precision", "fp32")


def steps_in(folder: Path) -> int:
    _, metadata = checkpoints.load_tensors(folder / "training.safetensors")
    return json.loads(metadata["counters"])["step"]


def test_command_line_is_stopped_by_ctrl_c_resumes_and_adds_the_density_ratio(
    digits: Path, tmp_path: Path, run: Run, capsys
) -> None:
    out, log = tmp_path / "digits", tmp_path / "log"
    score = ("score", "--data", digits, "--out", out, *SMALL, *COMMON)
    command = [sys.executable, "train.py", *map(str, score), "--images", "1000000"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=file)
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

    assert run(*score, "--images", 16 * (done + 2), "--resume") == 0
    assert "held-out" in "".join(capsys.readouterr())
    assert steps_in(out / "training") == done + 2
    ratio = ("ratio", "--data", digits, "--out", out, "--images", 32, "--channels", 4, *COMMON)
    assert run(*ratio) == 0
    bridge = Bridge.from_pretrained(out, "cpu")
    assert bridge.name == "digits" and bridge.shape == (1, 28, 28) and bridge.has_density_ratio


# ----------------------------------------------------------------------------------------------
# Options


@pytest.mark.parametrize("name", train.COMMANDS)
def test_every_option_has_a_meaning_and_every_command_an_example(
    name: str, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        train.parse_arguments([name, "--help"])
    text = capsys.readouterr().out
    assert f"python train.py {name} " in text
    found = re.findall(r"^  (--[a-z-]+)(?: \S+)*?\s{2,}(\w.* .*)$", text, re.MULTILINE)
    listed = set(re.findall(r"--[a-z-]+", text.split("\n\n")[0]))
    assert dict(found).keys() == listed and len(listed) > 5
    common = ("--lr", "--batch-size", "--seed", "--precision", "--save-minutes")
    for flag in () if name in train.FITS else common:
        assert re.search(r"\(default: [\w.]+\)$", dict(found)[flag]), flag


FLAGS = ("--preset", "digits", "--images", "9")
DSB = ("dsb", "--source", "moons", "--target", "rings")
SHORT = ("--half-steps", "3", "--iterations", "1", "--batch-size", "8", "--cache", "16", "--cpu")
SHORT += ("--evaluate", "8", "--steps", "3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("score", *FLAGS, "--images", "0"), "images must be a whole number"),
        (("score", *FLAGS, "--max-minutes", "nan"), "max_minutes must be a finite number > 0"),
        (("score", *FLAGS, "--lr", "0"), "learning_rate must be a finite"),
        (("score", *FLAGS, "--ema", "0"), "ema must be a finite"),
        (("score", *FLAGS, "--channels", "8", "8"), "same length"),
        (("score", *FLAGS, "--rank", "100000"), "rank must be in"),
        (("score", *FLAGS, "--limit", "1"), "at least 2 are needed"),
        (("score", *FLAGS, "--data", "nothing"), "no data at nothing"),
        (("score", *FLAGS, "--val", "nowhere"), "no data at nowhere"),
        (("score", *FLAGS, "--finish", "32"), "there is no run to finish"),
        (("ratio",), "no config.json"),
        ((*DSB, "--steps", "0"), "steps must be a whole number of at least 1"),
        ((*DSB, "--sigma", "-1"), "sigma must be a finite number > 0"),
        ((*DSB, "--target", "nowhere.zip"), "no data at nowhere.zip"),
        ((*DSB, "--width", "0"), "width, patch and blocks must be at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_options_are_one_line_and_leave_nothing_behind(
    arguments: tuple[str, ...], message: str, digits: Path, tmp_path: Path, refusal: Refusal
) -> None:
    command, *options = arguments
    data = () if command == "dsb" else ("--data", digits)
    line = refusal(command, *data, "--out", tmp_path, "--cpu", *options)
    assert line.startswith("error: ") and message in line
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------------------------------
# Nothing is lost


SCORE = ("score", *SMALL, *COMMON, "--images", 32)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_or_a_model_that_is_there_is_replaced_only_on_demand(
    digits: Path, tmp_path: Path, run: Run, refusal: Refusal, capsys
) -> None:
    command = (*SCORE, "--data", digits, "--out", tmp_path)
    assert run(*command) == 0
    before = contents(tmp_path)
    either = r"error: .* --resume goes on, --overwrite begins anew"
    assert re.fullmatch(either, refusal(*command))
    assert re.fullmatch(either, refusal(*DSB, "--out", tmp_path, "--cpu"))
    assert run(*command, "--images", 16, "--resume") == 0
    nothing = "Nothing is left to do: 32 images are done, 16 were asked for."
    assert nothing in capsys.readouterr().err
    assert contents(tmp_path) == before
    shutil.rmtree(tmp_path / "training")
    before = contents(tmp_path)
    for resume in ((), ("--resume",)):
        overwrite = r"error: .* no run to resume: --overwrite replaces it"
        assert re.fullmatch(overwrite, refusal(*command, *resume))
    assert contents(tmp_path) == before
    assert run(*command, "--seed", 1, "--overwrite") == 0
    assert contents(tmp_path) != before


RATIO = ("ratio", "--channels", 4, *COMMON, "--images", 16)
FEATURES = ("features", "--size", 16, "--grey", *COMMON, "--images", 16)


@pytest.mark.parametrize(
    "command",
    [("mixture", "--components", 2), RATIO, FEATURES, (*DSB, *SHORT)],
    ids=lambda command: command[0],
)
def test_no_command_replaces_what_it_made_unasked(
    command: tuple[Any, ...], digits: Path, tmp_path: Path, run: Run, refusal: Refusal
) -> None:
    data = () if command[0] == "dsb" else ("--data", digits)
    if command[0] in ("mixture", "ratio"):
        assert run(*SCORE, "--data", digits, "--out", tmp_path) == 0
    assert run(*command, *data, "--out", tmp_path) == 0
    before = contents(tmp_path)
    assert re.search("--overwrite (replaces|begins)", refusal(*command, *data, "--out", tmp_path))
    assert contents(tmp_path) == before
    assert run(*command, *data, "--out", tmp_path, "--overwrite") == 0


def test_a_model_steps_away_from_its_own_pictures_once_and_if_that_helps(
    digits: Path, tmp_path: Path, run: Run, refusal: Refusal, capsys
) -> None:
    assert run(*SCORE, "--data", digits, "--out", tmp_path) == 0
    short = ("--samples", 16, "--fills", 4, "--snapshots", 32, "--data", digits, "--out", tmp_path)
    before = contents(tmp_path)
    assert "--overwrite replaces it" in refusal("neon", *short)
    line = refusal("neon", *short, "--strengths", 1e-9, "--overwrite")
    assert "no step makes the pictures better" in line and contents(tmp_path) == before
    assert run("neon", *short, "--strengths", *range(10, 100, 10), "--overwrite") == 0
    step = Bridge.from_pretrained(tmp_path).facts["training"]["neon"]
    assert step["images"] == 32 and step["distance"] < step["before"]
    assert f"32 images, w = {step['w']:g}: {step['distance']}" in capsys.readouterr().out
    assert "has made this step already" in refusal("neon", *short, "--overwrite")


@pytest.mark.parametrize("name", train.COMMANDS)
def test_a_folder_in_which_a_run_is_at_work_is_refused(
    name: str, digits: Path, tmp_path: Path, refusal: Refusal
) -> None:
    with locked(tmp_path):
        given = {"dsb": DSB, "instant": ("instant",)}
        command = given.get(name, (name, "--data", digits))
        line = refusal(*command, "--out", tmp_path)
    assert line == f"error: another run is writing to {tmp_path}; wait for it, or stop it"
    assert not list(tmp_path.iterdir())


def test_a_place_that_takes_nothing_is_refused_before_training(
    tmp_path: Path, refusal: Refusal
) -> None:
    (tmp_path / "file").touch()
    line = refusal(*DSB, *SHORT, "--out", tmp_path / "file" / "mine")
    assert "file/mine cannot be written to: Not a directory" in line


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk: what is longer cannot be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_or_runs_full_keeps_the_last_good_state(
    digits: Path, tmp_path: Path, run: Run, capsys
) -> None:
    command = (*SCORE, "--data", digits, "--save-minutes", 1e-9, "--out")
    state = Path("training") / "training.safetensors"
    assert run(*command, tmp_path / "whole") == 0
    whole, _ = checkpoints.load_tensors(tmp_path / "whole" / state)
    size = (tmp_path / "whole" / state).stat().st_size
    for name, most in (("full", 1000), ("filled", size - 1000)):  # the first has no moments yet
        with files_of_at_most(most):
            assert run(*command, tmp_path / name) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert line == f"error: {tmp_path / name / state}: File too large"
        assert (tmp_path / name / state).exists() == (name == "filled")
    assert steps_in(tmp_path / "filled" / "training") == 0
    assert run(*command, tmp_path / "filled", "--resume") == 0
    resumed, _ = checkpoints.load_tensors(tmp_path / "filled" / state)
    assert all(torch.equal(whole[name], value) for name, value in resumed.items())


@pytest.mark.parametrize("command", [SCORE, FEATURES], ids=lambda command: command[0])
def test_black_pictures_are_refused_in_a_sentence(
    command: tuple[Any, ...], tmp_path: Path, refusal: Refusal
) -> None:
    save_pictures(tmp_path / "black", torch.zeros(30, 3, 16, 16, dtype=torch.uint8))
    line = refusal(*command, "--data", tmp_path / "black", "--out", tmp_path / "mine")
    assert line == f"error: {tmp_path / 'black'} holds one picture only, many times over"
    assert not (tmp_path / "mine").exists()


def test_a_trunk_is_finished_in_a_branch(digits: Path, tmp_path: Path, run: Run) -> None:
    command = ("score", *SMALL, *COMMON, "--data", digits, "--out", tmp_path)
    assert run(*command, "--open-ended", "--max-minutes", 1e-9) == 0
    trunk = (tmp_path / "training" / "training.safetensors").read_bytes()
    assert run(*command, "--finish", 32) == 0
    assert steps_in(tmp_path / "training-finish") == steps_in(tmp_path / "training") + 2
    assert (tmp_path / "training" / "training.safetensors").read_bytes() == trunk
    assert run(*command, "--finish", 32) == 1  # the branch is there already


def test_density_ratio_of_unmirrored_data_is_trained_unmirrored(
    digits: Path, tmp_path: Path, run: Run, monkeypatch
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


def test_command_trains_points_and_resumes(tmp_path: Path, run: Run, capsys) -> None:
    sets = ("--source", "moons", "--target", "spirals", "--out", str(tmp_path / "m"))
    assert run("dsb", *sets, *SHORT) == 0
    assert "iteration 1, forward trained" in capsys.readouterr().out
    assert run("dsb", *sets, *SHORT, "--iterations", "2", "--resume") == 0
    history = json.loads((tmp_path / "m" / "history.json").read_text())
    assert [entry["iteration"] for entry in history] == [1, 1, 2, 2]
    bridge = TranslationBridge.from_pretrained(tmp_path / "m")
    assert bridge.sets == ("moons", "spirals")
    assert bridge.translate(torch.zeros(3, 2)).result().shape == (3, 2)


def test_command_out_of_time_says_how_to_go_on(tmp_path: Path, run: Run, capsys) -> None:
    options = ("--max-minutes", "1e-9", "--method", "dsb", "--printed")
    assert run(*DSB, "--out", tmp_path / "m", *SHORT, *options) == 0
    assert "of iteration 1, step 1; --resume continues" in capsys.readouterr().err
    bridge = TranslationBridge.from_pretrained(tmp_path / "m")
    assert bridge.facts["training"]["plan"]["printed"]
    assert bridge.translate(torch.zeros(3, 2)).result().shape == (3, 2)


def test_pictures_keep_the_names_that_they_are_given(tmp_path: Path, run: Run) -> None:
    """And names do not hide which set is noise."""
    path = idx_file(tmp_path / "a" / "a-idx3-ubyte.gz", 30)
    sets = ("--source", "gaussian", "--target", path, "--names", "static", "glyphs")
    options = ("--size", "8", "--channels", "8", "16", "--method", "dsb", "--license", "free")
    assert run("dsb", *sets, *SHORT, *options, "--out", tmp_path / "m") == 0
    bridge = TranslationBridge.from_pretrained(tmp_path / "m")
    assert bridge.sets == ("static", "glyphs")
    assert bridge.facts["data"] == {"name": "gaussian, a", "license": "free"}
    assert bridge.starts_from_noise("forward") and not bridge.starts_from_noise("backward")
    pictures = smooth_pictures(2, 8, 1) / 255
    assert bridge.translate(pictures, "backward").result().shape == (2, 1, 8, 8)


def test_training_never_sees_the_pictures_that_report(tmp_path: Path) -> None:
    save_pictures(tmp_path / "train", smooth_pictures(40, seed=40))
    save_pictures(tmp_path / "val", smooth_pictures(10, seed=10))
    arguments = ["score", "--data", str(tmp_path / "train"), "--out", str(tmp_path / "model")]
    pictures, held_out = train.load_pictures(train.parse_arguments(arguments), 16, 3)
    assert len(pictures) == 40 and torch.equal(held_out, smooth_pictures(10, seed=10)[:5])
