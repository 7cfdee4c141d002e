"""The facade of a bridge between two sets, its checkpoints, and `train.py dsb`."""

from __future__ import annotations

import gzip
import itertools
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import train
from sbcore import CheckpointError
from sbcore.ipf.bridge import TranslationBridge
from sbcore.ipf.network import NetworkConfig, Pair, load_translation, save_translation
from sbcore.plane.pairs import PLANE, Loading, open_pair
from tests.conftest import perturb, smooth_pictures

CONFIG = {"name": "tiny", "sets": ["digits", "letters"], "method": "dsbm", "sigma": 1.0}
CONFIG |= {"steps": 4, "contrast": 3.0}
PICTURES = NetworkConfig((1, 8, 8), patch=1, channels=(8,), blocks=(1,), attention=(False,))


def tiny_pair(config: NetworkConfig = PICTURES) -> Pair:
    torch.manual_seed(0)
    pair = Pair(config)
    perturb(pair, 0.05)
    shape = (64, *config.shape)
    pair.measure(torch.randn(shape), 2 * torch.randn(shape), 1.0)
    return pair


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_translation(tmp_path / "tiny", tiny_pair(), CONFIG)
    return tmp_path / "tiny"


@pytest.fixture
def bridge(folder: Path) -> TranslationBridge:
    return TranslationBridge.from_pretrained(folder, "cpu")


def pictures(n: int) -> Tensor:
    return smooth_pictures(n, 8, 1) / 255


# ----------------------------------------------------------------------------------------------
# Translating


def test_facts_of_a_model(bridge: TranslationBridge) -> None:
    assert (bridge.shape, bridge.name, bridge.sets) == ((1, 8, 8), "tiny", ("digits", "letters"))
    assert bridge.facts["kind"] == "dsb"
    assert "CPU" in bridge.device_name


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_outcome_depends_on_its_seed_alone(bridge: TranslationBridge, direction: str) -> None:
    """Outcome j of picture i takes seed + i * n + j."""
    images = pictures(2)
    both = bridge.translate(images, direction, n=3, seed=10).result()
    assert both.shape == (6, 1, 8, 8)
    assert both.min() >= 0
    assert both.max() <= 1
    for i in range(2):
        for j in range(3):
            alone = bridge.translate(images[i : i + 1], direction, seed=10 + 3 * i + j).result()
            assert torch.allclose(both[3 * i + j], alone[0], atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-3)


def test_directions_have_their_own_networks(bridge: TranslationBridge) -> None:
    there, back = (bridge.translate(pictures(1), way).result() for way in ("forward", "backward"))
    assert not torch.allclose(there, back, atol=1e-3)


def test_steps_run_from_0_to_1(bridge: TranslationBridge) -> None:
    steps = list(bridge.translate(pictures(1), steps=5))
    assert [step.index for step in steps] == [1, 2, 3, 4, 5]
    assert all((step.stage, step.total) == (1, 5) for step in steps)
    assert steps[0].t > 0
    assert steps[-1].t == 1
    assert [step.t for step in steps] == sorted(step.t for step in steps)
    assert steps[-1].s == 0
    assert all(a.s > b.s for a, b in itertools.pairwise(steps))
    assert torch.allclose(steps[-1].x, steps[-1].denoised, atol=1e-6)
    assert [step.nfe.total for step in steps] == [2, 3, 4, 5, 5]  # each step looks at its end
    seen = []
    last = bridge.translate(pictures(1), steps=5).result(seen.append)
    assert len(seen) == 5
    assert torch.equal(last, steps[-1].x.clamp(0, 1))


def test_first_step_by_hand(bridge: TranslationBridge, folder: Path) -> None:
    """Pictures are carried as values in [-1, 1], and shown in [0, 1]."""
    pair, _ = load_translation(folder)
    [image], seed = pictures(1), 3
    x = 2 * image[None] - 1
    with torch.no_grad():
        end = pair["forward"](x, 1.0)
    step = next(bridge.translate(image[None], seed=seed))
    assert torch.allclose(step.denoised, (end + 1) / 2, atol=1e-5)
    h = 1 - (2 * step.s) ** 2  # sigma is 1 and the whole path to come, so it is p too
    noise = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(seed))
    y = x + h * (end - x) + h**0.5 * (1 - h / 2) * noise
    with torch.no_grad():
        expected = y + h / (2 - h) * (pair["forward"](y, 1 - h) - end)
    assert torch.allclose(step.x, (expected + 1) / 2, atol=1e-5)


def test_points_are_carried_in_their_own_units(tmp_path: Path) -> None:
    points = NetworkConfig((2,), width=8)
    save_translation(tmp_path, tiny_pair(points), CONFIG | {"sets": ["moons", "rings"]})
    bridge = TranslationBridge.from_pretrained(tmp_path, "cpu")
    start = torch.tensor([[5.0, -7.0], [0.0, 3.0]])
    assert bridge.translate(start, "backward", n=2).result().shape == (4, 2)
    pair = Pair(points)  # untrained: Brownian motion of sigma 1
    free = TranslationBridge(pair, CONFIG, "cpu")
    ends = free.translate(torch.full((4000, 2), 9.0), seed=1, steps=1).result()
    assert torch.equal(ends, torch.full((4000, 2), 9.0))  # the last step has no noise
    *_, before, _ = free.translate(torch.full((4000, 2), 9.0), steps=4)
    assert before.x.std() == pytest.approx(before.t**0.5, rel=0.05)


def test_noise_of_a_gaussian_set_may_leave_the_range(tmp_path: Path) -> None:
    save_translation(tmp_path, tiny_pair(), CONFIG | {"noise": [True, False]})
    bridge = TranslationBridge.from_pretrained(tmp_path, "cpu")
    noise = torch.randn(2, 1, 8, 8)
    assert bridge.translate(noise, "forward").result().shape == noise.shape
    with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
        bridge.translate(noise, "backward").result()
    there = bridge.translate(torch.rand(2, 1, 8, 8), "backward", seed=3).result()
    assert not bool(((there >= 0) & (there <= 1)).all())  # the ends are noise: not clamped


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "sideways"}, "direction must be one of forward, backward"),
        ({"n": 0}, "n must be a whole number of at least 1"),
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"seed": -1}, "seed must be"),
        ({"images": torch.zeros(1, 3, 8, 8)}, "images must have shape"),
        ({"images": torch.zeros(0, 1, 8, 8)}, "images must have shape"),
        ({"images": torch.full((1, 1, 8, 8), 1.5)}, r"images must have values in \[0, 1\]"),
        ({"images": torch.full((1, 1, 8, 8), float("nan"))}, "images must be finite"),
        ({"images": "a picture"}, "images must be an array"),
    ],
)
def test_bad_input(bridge: TranslationBridge, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bridge.translate(**{"images": pictures(1)} | options).result()


# ----------------------------------------------------------------------------------------------
# Checkpoints


def test_weights_survive_the_disk(folder: Path) -> None:
    pair, config = load_translation(folder)
    wanted = tiny_pair().state_dict()
    for name, value in pair.state_dict().items():
        assert torch.allclose(value, wanted[name], atol=2e-3), name
    assert config["sets"] == CONFIG["sets"]
    assert pair.config == PICTURES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "denoiser"}, "holds a denoiser, not a bridge"),
        ({"method": "magic"}, "method must be one of"),
        ({"sets": ["one"]}, "sets must be two names"),
        ({"sigma": 0}, "sigma must be"),
        ({"noise": True}, "noise must be"),
        ({"noise": [True]}, "noise must be"),
        ({"steps": 0}, "steps must be"),
        ({"contrast": None}, "config.json"),
        ({"network": {"shape": [2]}}, "does not fit"),
        ({"network": {"shape": [1, 9, 8]}}, "cannot be built"),
    ],
)
def test_damaged_config(folder: Path, change: dict[str, Any], message: str) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=message):
        TranslationBridge.from_pretrained(folder)


def test_truncated_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="truncated"):
        TranslationBridge.from_pretrained(folder)


# ----------------------------------------------------------------------------------------------
# Sets and the command line


@pytest.mark.parametrize("name", PLANE)
def test_sets_of_the_plane(name: str) -> None:
    points = PLANE[name](1000, torch.Generator().manual_seed(0))
    assert points.shape == (1000, 2)
    assert points.isfinite().all()


def test_sets_follow_the_benchmark() -> None:
    """Moments of Tong et al.'s sets: radius 5 and covariance sqrt(0.1); moons by uniform noise."""
    eight = PLANE["8-gaussians"](40_000, torch.Generator().manual_seed(0))
    assert eight.square().sum(1).mean() == pytest.approx(25 + 2 * 0.1**0.5, rel=0.01)
    moons = PLANE["half-moons"](40_000, torch.Generator().manual_seed(0))
    assert torch.allclose(moons.mean(0), torch.tensor([0.8, 0.05]), atol=0.03)
    curve = PLANE["s-curve"](40_000, torch.Generator().manual_seed(0))
    assert curve[:, 0].abs().max() < 1.9
    assert curve[:, 1].abs().max() == pytest.approx(3, abs=0.4)


def idx_file(path: Path, n: int, size: int = 8) -> Path:
    """An IDX file of random smooth pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = smooth_pictures(n, size, 1, seed=n).numpy().tobytes()
    path.write_bytes(gzip.compress(struct.pack(">IIII", 0x803, n, size, size) + content))
    return path


def test_pictures_are_named_by_their_folder(tmp_path: Path) -> None:
    paths = [idx_file(tmp_path / name / "a-idx3-ubyte.gz", 30) for name in ("digits", "letters")]
    first, second = open_pair(*map(str, paths), Loading(size=8))
    assert (first.name, second.name) == ("digits", "letters")
    drawn = first.draw(5, torch.Generator().manual_seed(0))
    assert drawn.shape == (5, 1, 8, 8)
    assert -1 <= drawn.min() < 0 < drawn.max() <= 1


def test_pictures_meet_a_gaussian_but_no_moons(tmp_path: Path) -> None:
    path = str(idx_file(tmp_path / "a-idx3-ubyte.gz", 30))
    noise, _ = open_pair("gaussian", path, Loading(size=8))
    assert noise.shape == (1, 8, 8)
    with pytest.raises(ValueError, match="do not go with pictures"):
        open_pair(path, "moons", Loading(size=8))


def test_unknown_set() -> None:
    with pytest.raises(ValueError, match=r"no data at banana \(sets in the plane: gaussian"):
        open_pair("moons", "banana", Loading())


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["train.py", "dsb", *arguments])
    return train.main()


SHORT = ("--half-steps", "3", "--iterations", "1", "--batch-size", "8", "--cache", "16", "--cpu")
SHORT += ("--evaluate", "8", "--steps", "3")


def test_command_trains_points_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ("--source", "moons", "--target", "spirals", "--out", str(tmp_path / "m"))
    assert run(monkeypatch, *sets, *SHORT) == 0
    assert "iteration 1, forward trained" in capsys.readouterr().out
    assert run(monkeypatch, *sets, *SHORT, "--iterations", "2", "--resume") == 0
    history = json.loads((tmp_path / "m" / "history.json").read_text())
    assert [entry["iteration"] for entry in history] == [1, 1, 2, 2]
    assert (tmp_path / "m" / "history.png").stat().st_size > 5000
    bridge = TranslationBridge.from_pretrained(tmp_path / "m")
    assert bridge.sets == ("moons", "spirals")
    assert bridge.translate(torch.zeros(3, 2)).result().shape == (3, 2)


def test_command_out_of_time_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ("--source", "moons", "--target", "rings", "--out", str(tmp_path / "m"))
    options = ("--max-minutes", "1e-9", "--method", "dsb", "--printed")
    assert run(monkeypatch, *sets, *SHORT, *options) == 0
    assert "iteration 1; --resume continues" in capsys.readouterr().err
    bridge = TranslationBridge.from_pretrained(tmp_path / "m")
    assert bridge.facts["training"]["plan"]["printed"]
    assert bridge.translate(torch.zeros(3, 2)).result().shape == (3, 2)


def test_names_do_not_hide_the_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(idx_file(tmp_path / "a" / "a-idx3-ubyte.gz", 30))
    sets = ("--source", "gaussian", "--target", path, "--out", str(tmp_path / "m"))
    options = ("--size", "8", "--channels", "8", "16", "--names", "static", "glyphs")
    assert run(monkeypatch, *sets, *SHORT, *options) == 0
    bridge = TranslationBridge.from_pretrained(tmp_path / "m")
    assert bridge.sets == ("static", "glyphs")
    assert bridge.starts_from_noise("forward") and not bridge.starts_from_noise("backward")
    assert bridge.translate(0.5 + 0.5 * torch.randn(2, 1, 8, 8)).result().shape == (2, 1, 8, 8)


def test_command_trains_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(idx_file(tmp_path / f"{i}" / "a-idx3-ubyte.gz", 30)) for i in range(2)]
    options = ("--size", "8", "--channels", "8", "16", "--method", "dsb", "--license", "free")
    sets = ("--source", paths[0], "--target", paths[1], "--out", str(tmp_path / "m"))
    assert run(monkeypatch, *sets, *SHORT, *options) == 0
    bridge = TranslationBridge.from_pretrained(tmp_path / "m")
    assert bridge.translate(pictures(1), "backward").result().shape == (1, 1, 8, 8)
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
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    sets = ("--source", "moons", "--target", "rings", "--out", str(tmp_path / "m"))
    assert run(monkeypatch, *sets, *SHORT, *options) == 1
    assert message in capsys.readouterr().err


def test_one_picture_is_no_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(idx_file(tmp_path / f"{n}" / "a-idx3-ubyte.gz", n)) for n in (30, 1)]
    sets = ("--source", paths[0], "--target", paths[1], "--out", str(tmp_path / "m"))
    assert run(monkeypatch, *sets, *SHORT, "--size", "8") == 1
    assert "1 pictures; at least 2 are needed" in capsys.readouterr().err
