"""The facade of a bridge between two sets, and its checkpoints."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sbcore import CheckpointError
from sbcore.ipf.bridge import TranslationBridge
from sbcore.ipf.network import NetworkConfig, Pair, load_translation, save_translation
from sbcore.ipf.reference import DIRECTIONS
from sbcore.runtime.noise import Noise
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


def test_a_fingerprint_names_weights_and_schedule(folder: Path, bridge: TranslationBridge) -> None:
    pair = load_translation(folder)[0]
    changed = [CONFIG | {"name": "other"}, CONFIG | {"steps": 5}, CONFIG | {"noise": [True, False]}]
    same, *found = [TranslationBridge(pair, one, "cpu").fingerprint for one in changed]
    assert same == bridge.fingerprint
    perturb(pair)
    found.append(TranslationBridge(pair, CONFIG, "cpu").fingerprint)
    assert len({same, *found}) == 4


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_outcome_depends_on_its_seed_alone(bridge: TranslationBridge, direction: str) -> None:
    """Outcome j of picture i takes seed + i * n + j."""
    images = pictures(2)
    both = bridge.translate(images, direction, n=3, seed=10).result()
    assert both.shape == (6, 1, 8, 8) and both.min() >= 0 and both.max() <= 1
    for i in range(2):
        for j in range(3):
            alone = bridge.translate(images[i : i + 1], direction, seed=10 + 3 * i + j).result()
            assert torch.allclose(both[3 * i + j], alone[0], atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-3)
    there, back = (bridge.translate(images, way).result() for way in DIRECTIONS)
    assert not torch.allclose(there, back, atol=1e-3)  # networks of their own


def test_steps_run_from_0_to_1(bridge: TranslationBridge) -> None:
    steps = list(bridge.translate(pictures(1), steps=5))
    assert [step.index for step in steps] == [1, 2, 3, 4, 5]
    assert all((step.stage, step.total) == (1, 5) for step in steps)
    times = [step.t for step in steps]
    assert 0 < times[0] and times == sorted(times) and (times[-1], steps[-1].s) == (1, 0)
    assert all(a.s > b.s for a, b in itertools.pairwise(steps))
    assert torch.allclose(steps[-1].x, steps[-1].denoised, atol=1e-6)
    assert [step.nfe.total for step in steps] == [2, 3, 4, 5, 5]  # each step looks at its end
    seen = []
    last = bridge.translate(pictures(1), steps=5).result(seen.append)
    assert len(seen) == 5 and torch.equal(last, steps[-1].x.clamp(0, 1))


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
    noise = Noise([seed], (1, 8, 8), "forward").draw()
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
    there, back = (
        list(free.translate(torch.full((4000, 2), 9.0), way, steps=4))[-2] for way in DIRECTIONS
    )
    assert there.x.std() == pytest.approx(there.t**0.5, rel=0.05)
    assert abs(((there.x - 9) * (back.x - 9)).mean()) < 0.05  # noise of its own each way


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
