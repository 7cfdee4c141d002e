"""q_sigma as a mixture: its law against the plain formulas, and its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sbcore import Bridge, CheckpointError
from sbcore.runtime.checkpoints import save_tensors
from sbcore.twostage.mixture import (
    FILE,
    KernelMixture,
    fit_mixture,
    held_out_gain,
    mirrored,
    save_mixture,
)
from tests.conftest import SIGMA, TAU, TINY, smooth_pictures, tiny_denoiser
from tests.oracles import Mixture

DENOISER = tiny_denoiser()
LINEAR = DENOISER.linear
K = 2


def two_kernels(width: float = 0.5) -> KernelMixture:
    return KernelMixture(torch.tensor([[4.0, 0.0], [-4.0, 1.0]]), width)


def oracle(mixture: KernelMixture) -> Mixture:
    """The same on its components, by the definition."""
    narrow = mixture.width**2 / (1 + mixture.width**2) * LINEAR.eigenvalues[:K].double()
    n = len(mixture)
    return Mixture(torch.ones(n), mixture.centres, torch.diag(narrow).expand(n, K, K))


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *TINY.shape, generator=generator)


@pytest.mark.parametrize("s", [0.5, 2.0, 10.0])
def test_density_and_posterior_mean_are_those_of_the_mixture(s: float) -> None:
    mixture, v = two_kernels(), 3 * pictures(20)
    leading = (v.flatten(1) @ LINEAR.basis[:K].T).double()
    expected = oracle(mixture).log_density(leading, s)
    torch.testing.assert_close(
        mixture.log_density(LINEAR, v, s).double(), expected, rtol=1e-4, atol=1e-4
    )
    denoised = mixture.denoised(LINEAR, v, s)
    components = (denoised.flatten(1) @ LINEAR.basis[:K].T).double()
    torch.testing.assert_close(
        components, oracle(mixture).denoised(leading, s), rtol=1e-3, atol=1e-3
    )
    # Elsewhere it is the filter.
    rest = denoised - LINEAR.at(v, s)
    outside = rest.flatten(1) - rest.flatten(1) @ LINEAR.basis[:K].T @ LINEAR.basis[:K]
    assert outside.abs().max() < 1e-4


def test_samples_have_the_moments_of_the_mixture() -> None:
    mixture, n, s = two_kernels(), 20_000, 1.0
    kernel = torch.arange(n) % 2
    drawn = mixture.sample(LINEAR, kernel, pictures(n), s).flatten(1)
    leading = drawn @ LINEAR.basis[:K].T
    narrow = mixture.width**2 / (1 + mixture.width**2) * LINEAR.eigenvalues[:K] + s**2
    for which in (0, 1):
        part = leading[kernel == which]
        torch.testing.assert_close(part.mean(0), mixture.centres[which], rtol=0, atol=0.15)
        torch.testing.assert_close(part.var(0), narrow, rtol=0.05, atol=0)
    other = drawn @ LINEAR.basis[K:].T
    torch.testing.assert_close(other.var(0), LINEAR.eigenvalues[K:] + s**2, rtol=0.05, atol=0)


def test_kernels_keep_the_variance_of_the_training_pictures() -> None:
    training = smooth_pictures(500)
    mean = training.float().mean(0) / 255
    wide = fit_mixture(training, mean, LINEAR, K, 0.8)
    exact = (training / 255.0 - mean).flatten(1) @ LINEAR.basis[:K].T
    torch.testing.assert_close(wide.centres * (1 + 0.8**2) ** 0.5, exact, rtol=1e-4, atol=1e-4)


def test_mirrored_kernels_are_those_of_mirrored_pictures() -> None:
    training = smooth_pictures(50)
    mean = training.float().mean(0) / 255
    mean = (mean + mean.flip(-1)) / 2
    # A covariance that knows no left and right has components that are even or odd.
    both = torch.cat([training, training.flip(-1)]) / 255.0 - mean
    basis = torch.linalg.svd(both.flatten(1), full_matrices=False).Vh[: TINY.rank]
    linear = tiny_denoiser().linear
    linear.basis.copy_(basis)
    one, other = (fit_mixture(x, mean, linear, K, 0.5) for x in (training, training.flip(-1)))
    whole = mirrored(one, linear, TINY.shape)
    torch.testing.assert_close(whole.centres[50:], other.centres, rtol=0, atol=1e-3)


def test_a_mixture_gains_on_data_that_are_no_gaussian_and_not_by_memory() -> None:
    generator = torch.Generator().manual_seed(0)
    side = torch.where(torch.rand(600, 1, generator=generator) < 0.5, 6.0, -6.0)
    leading = torch.cat([side, 0 * side], 1) + torch.randn(600, K, generator=generator)
    data = (leading @ LINEAR.basis[:K]).view(-1, *TINY.shape)
    seen, new = data[:300], data[300:]
    coefficients = seen.flatten(1) @ LINEAR.basis[:K].T
    linear = tiny_denoiser().linear
    linear.eigenvalues[:K] = coefficients.var(0)
    assert held_out_gain(KernelMixture(coefficients, 0.3), linear, new, 0.5) > 0.2
    narrow = held_out_gain(KernelMixture(coefficients, 1e-3), linear, new, 1e-2)
    assert narrow < held_out_gain(KernelMixture(coefficients, 1e-3), linear, seen, 1e-2)


def test_a_file_gives_the_mixture_back_and_a_model_draws_with_it(tiny_folder: Path) -> None:
    mixture = two_kernels()
    plain = Bridge.from_pretrained(tiny_folder, "cpu")
    assert plain.mixture is None
    save_mixture(tiny_folder, mixture, flip=False)
    bridge = Bridge.from_pretrained(tiny_folder, "cpu")
    torch.testing.assert_close(bridge.mixture.centres, mixture.centres, rtol=1e-3, atol=1e-3)
    first, second = (b.generate(3, seed=4, steps=2).result() for b in (plain, bridge))
    assert not torch.equal(first, second)
    same = bridge.generate(3, seed=4, steps=2, start="gaussian").result()
    assert torch.equal(same, first)
    alone = bridge.generate(1, seed=6, steps=2).result()
    torch.testing.assert_close(alone[0], second[2], rtol=0, atol=1e-5)
    film = bridge.evolve(8, seed=4).result()
    picture = bridge.generate(1, seed=4).result()
    torch.testing.assert_close(film[-1].clamp(0, 1), picture[0], rtol=0, atol=1e-4)


def test_starts_come_from_all_kernels() -> None:
    bridge = Bridge(tiny_denoiser(), SIGMA, TAU, device="cpu", mixture=two_kernels(0.1))
    states = [next(bridge.generate(1, seed=seed, steps=50, solver="ddim")).x for seed in range(30)]
    flat = torch.cat(states).flatten(1) - bridge.denoiser.mean.flatten()
    leading = flat @ bridge.denoiser.linear.basis[0]
    assert 5 < int((leading > 0).sum()) < 25


@pytest.mark.parametrize(
    ("tensors", "width", "message"),
    [
        ({"coefficients": torch.zeros(3, TINY.rank + 1)}, "0.5", "does not fit"),
        ({"other": torch.zeros(3, 2)}, "0.5", "does not fit"),
        ({"coefficients": torch.zeros(3, 2)}, "-1", "no positive width"),
    ],
)
def test_a_foreign_file_is_refused_in_a_sentence(
    tensors: dict, width: str, message: str, tiny_folder: Path
) -> None:
    save_tensors(tiny_folder / FILE, tensors, {"width": width})
    with pytest.raises(CheckpointError, match=message):
        Bridge.from_pretrained(tiny_folder)
