"""ONNX Runtime computes what PyTorch does, where it computes at all."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sbcore.networks.onnx import LARGEST, SmallBatches
from sbcore.networks.unet import UNet
from tests.conftest import REPOSITORY, perturb


class Counted(UNet):
    """A small U-Net that counts its calls."""

    calls = 0

    def forward(self, x: torch.Tensor, c_noise: torch.Tensor) -> torch.Tensor:
        """Map like a `UNet`."""
        self.calls += 1
        return super().forward(x, c_noise)


@pytest.fixture
def network() -> Counted:
    torch.manual_seed(0)
    network = (
        Counted(4, 3, 16, 2, (16, 32), (1, 1), (False, True), 0.1).eval().requires_grad_(False)
    )
    perturb(network)
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def batch(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, 4, 16, 16, generator=generator)
    return x.to(memory_format=torch.channels_last), torch.linspace(-1, 1, n)


@pytest.mark.parametrize("first", range(1, LARGEST + 1))
def test_small_batches_are_the_networks_own_without_a_call_of_it(
    network: Counted, first: int
) -> None:
    fast = SmallBatches(network)
    fast(*batch(first))  # exported with this size
    for n in range(1, LARGEST + 1):
        expected, calls = network(*batch(n)), network.calls
        torch.testing.assert_close(fast(*batch(n)), expected, rtol=1e-4, atol=1e-5)
        assert network.calls == calls


def test_larger_batches_gradients_and_other_types_are_left_to_the_network(network: Counted) -> None:
    fast = SmallBatches(network)
    fast(*batch(1))
    for given, bf16 in ((batch(LARGEST + 1), False), (batch(1), True)):
        calls = network.calls
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            fast(*given)
        assert network.calls == calls + 1
    x, c_noise = batch(1)
    fast(x.requires_grad_(), c_noise).sum().backward()
    assert x.grad is not None and bool(x.grad.any())


def test_without_the_packages_the_network_computes(
    network: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert torch.equal(SmallBatches(network)(*batch(1)), network(*batch(1)))


def test_it_tells_nobody_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its releases report their use from 1.29 on, and keep a file for it, unless they are told."""
    program = (
        "import torch; from sbcore.networks.onnx import SmallBatches;"
        "SmallBatches(torch.nn.Conv2d(1, 1, 3))(torch.zeros(1, 1, 5, 5)); import onnxruntime"
    )
    homes = dict.fromkeys(("TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(tmp_path))
    environment = os.environ | homes | {"PYTHONPATH": str(REPOSITORY)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert not [*tmp_path.rglob("*")]


def test_what_cannot_be_exported_is_computed_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Odd(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvalsh(x)

    x = torch.eye(3)[None]
    fast = SmallBatches(Odd())
    assert torch.equal(fast(x), torch.ones(1, 3)) and torch.equal(fast(x), torch.ones(1, 3))
    assert len(caplog.records) == 1 and "ONNX Runtime" in caplog.text


def test_a_copy_follows_its_own_network(network: Counted) -> None:
    fast = SmallBatches(network)
    fast(*batch(1))
    changed = copy.deepcopy(fast)
    with torch.no_grad():
        changed.network.head.bias += 1  # pyright: ignore[reportOperatorIssue, reportAttributeAccessIssue]
    torch.testing.assert_close(changed(*batch(1)), fast(*batch(1)) + 1)
