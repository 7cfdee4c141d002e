"""Mean, spread and principal components against the plain formulas."""

from __future__ import annotations

import pytest
import torch

from sbcore.data.statistics import checksum, mean_and_std, principal_components
from tests.conftest import smooth_pictures


@pytest.mark.parametrize("flip", [False, True])
def test_mean_and_std_equal_the_plain_formulas(flip: bool) -> None:
    pictures = smooth_pictures(37, size=8)
    everything = torch.cat([pictures, pictures.flip(-1)]) if flip else pictures
    everything = everything.double() / 255
    mean, std = mean_and_std(pictures, flip)
    torch.testing.assert_close(mean.double(), everything.mean(0), rtol=1e-6, atol=1e-6)
    expected = (everything - everything.mean(0)).square().mean().sqrt().item()
    assert std == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("rank", "flip"), [(1, False), (10, True), (48, False)])
def test_principal_components_equal_eigh(rank: int, flip: bool) -> None:
    pictures = smooth_pictures(60, size=8, channels=1)
    mean, _ = mean_and_std(pictures, flip)
    everything = torch.cat([pictures, pictures.flip(-1)]) if flip else pictures
    centred = (everything.double() / 255 - mean).flatten(1)
    covariance = centred.T @ centred / len(centred)
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0), vectors.flip(1)

    basis, eigenvalues, rest = principal_components(pictures, mean, rank, flip)
    assert basis.shape == (rank, 64) and eigenvalues.shape == (rank,)
    torch.testing.assert_close(basis @ basis.T, torch.eye(rank), atol=1e-5, rtol=0)
    floor = torch.tensor(1e-6, dtype=torch.float64)
    torch.testing.assert_close(
        eigenvalues.double(), values[:rank].maximum(floor), rtol=1e-4, atol=1e-6
    )
    expected_rest = (covariance.trace() - values[:rank].sum()) / (64 - rank)
    assert rest.item() == pytest.approx(expected_rest.clamp(min=1e-6).item(), rel=1e-3, abs=1e-6)
    if rank == 10:  # the subspace: each true component lies in it
        inside = basis.double() @ vectors[:, :rank]
        torch.testing.assert_close(
            inside.square().sum(0), torch.ones(rank).double(), rtol=0, atol=1e-3
        )


def test_principal_components_depend_on_the_seed_not_on_the_global_stream() -> None:
    pictures = smooth_pictures(30, size=8)
    mean, _ = mean_and_std(pictures, True)
    torch.manual_seed(1)
    first = principal_components(pictures, mean, 5, True)
    torch.manual_seed(2)
    second = principal_components(pictures, mean, 5, True)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_constant_pictures_have_the_floor_of_eight_bits_as_variance() -> None:
    pictures = torch.full((5, 1, 4, 4), 77, dtype=torch.uint8)
    mean, _ = mean_and_std(pictures, False)
    _, eigenvalues, rest = principal_components(pictures, mean, 2, False)
    assert eigenvalues.min() > 0 and rest > 0


def test_checksum_tells_sets_and_orders_apart_but_not_layouts() -> None:
    pictures = smooth_pictures(6, size=8)
    found = checksum(pictures)
    assert found == checksum(pictures.contiguous(memory_format=torch.channels_last))
    changed = pictures.clone()
    changed[3, 0, 0, 0] += 1
    assert len({found, checksum(changed), checksum(pictures.flip(0)), checksum(pictures[:5])}) == 4
