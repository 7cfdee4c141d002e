"""The engine on each kind of device: what a CPU computes, without waiting for an accelerator."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from sbcore import Bridge, PaperMode, Run
from sbcore.runtime.graphs import Graphed
from tests.conftest import NO_CUDA, REPOSITORY, perturb, save_tiny, smooth_pictures

HOLE = torch.ones(16, 16, dtype=torch.bool)
HOLE[4:12, 4:12] = False
A, B = smooth_pictures(2).float() / 255
RUNS: dict[str, Callable[[Bridge], Run]] = {
    "generate": lambda bridge: bridge.generate(3, 5),
    "generate in an instant": lambda bridge: bridge.generate(3, 5, mode="instant"),
    "generate as the paper": lambda bridge: bridge.generate(
        2, 5, mode="paper", paper=PaperMode(n1=4, n2=4, drift="exact")
    ),
    "evolve": lambda bridge: bridge.evolve(8, 5),
    "interpolate": lambda bridge: bridge.interpolate(A, B, 3, 0.4, 5),
    "invert": lambda bridge: bridge.interpolate(A, B, 3, method="inversion"),
    "denoise": lambda bridge: bridge.denoise(A, 0.4, 2, 5),
    "inpaint": lambda bridge: bridge.inpaint(A, HOLE, 2, 5),
    "inpaint by Algorithm 2": lambda bridge: bridge.inpaint(
        A, HOLE, 2, 5, method="algorithm2", steps=6
    ),
    "inpaint by RePaint": lambda bridge: bridge.inpaint(A, HOLE, 2, 5, method="repaint"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("devices") / "tiny")


@pytest.mark.parametrize("name", RUNS)
def test_a_device_draws_what_a_cpu_draws(folder: Path, device: str, name: str) -> None:
    bridge = Bridge.from_pretrained(folder, device, bf16=False)
    expected = RUNS[name](Bridge.from_pretrained(folder, "cpu")).result()
    found = RUNS[name](bridge).result()
    assert found.device.type == device
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=0.01)
    assert torch.equal(RUNS[name](bridge).result(), found)


def test_a_model_trains_on_a_device_and_goes_on_from_its_state(tmp_path: Path, device: str) -> None:
    data, model = tmp_path / "data", tmp_path / "model"
    data.mkdir()
    for i, picture in enumerate(smooth_pictures(24)):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(data / f"{i}.png")
    network = "--preset digits --channels 16 32 --blocks 1 1 --attention 0 1 --batch-size 4"
    cpu = "--cpu" if device == "cpu" else ""
    for images in (40, 80):
        words = f"score --data {data} --out {model} {network} --images {images} --resume {cpu}"
        subprocess.run([sys.executable, "train.py", *words.split()], cwd=REPOSITORY, check=True)
    facts = Bridge.from_pretrained(model, device).facts["training"]
    assert facts["images"] == 80 and math.isfinite(facts["score"])


# ----------------------------------------------------------------------------------------------
# Captured calls


def network(v: torch.Tensor, s: torch.Tensor | float, *known: torch.Tensor, twice: bool = False):
    """Something that every argument changes."""
    level = torch.as_tensor(s, device=v.device).reshape(-1, 1)
    total = v * level + sum(known)
    return 2 * total if twice else total


def test_captured_calls_are_those_of_the_network(device: str) -> None:
    graphed, kept = Graphed(network), []
    for n in (1, 3, 1):
        for s in (0.5, torch.linspace(1, 2, n, device=device)):
            for known in ((), (torch.randn(n, 4, device=device),)):
                for options in ({}, {"twice": True}):
                    v = torch.randn(n, 4, device=device)
                    kept.append(
                        (graphed(v, s, *known, **options), network(v, s, *known, **options))
                    )
    for found, expected in kept:  # at the end: no result is overwritten by a later call
        torch.testing.assert_close(found, expected)


def test_captured_calls_follow_the_weights_and_leave_gradients_alone(device: str) -> None:
    layer = torch.nn.Linear(4, 4).to(device).requires_grad_(False)
    graphed = Graphed(lambda v, s: layer(v) * s[:, None] if torch.is_tensor(s) else layer(v) * s)
    v = torch.randn(2, 4, device=device)
    graphed(v, 1.0)
    perturb(layer.cpu(), 1.0)
    layer.to(device)
    leaf = v.clone().requires_grad_()
    graphed(leaf, 1.0).sum().backward()
    torch.testing.assert_close(leaf.grad, layer.weight.sum(0).expand(2, 4))


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """An error for whatever waits for the device."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@NO_CUDA
def test_steps_that_nobody_looks_at_do_not_wait_for_the_device(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    bridge = Bridge.from_pretrained(folder, "cuda")
    bridge.generate(2).result()  # captures
    run = bridge.generate(2)
    request.getfixturevalue("no_waiting")
    for _ in run:
        pass


@NO_CUDA
def test_what_cannot_be_captured_is_computed_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    graphed = Graphed(lambda v, s: v * float(v.sum().cpu()))
    v = torch.ones(2, 2, device="cuda")
    for _ in range(2):
        assert torch.equal(graphed(v, 1.0), 4 * v)
    assert len(caplog.records) == 1
