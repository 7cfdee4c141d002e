"""Distances between sets and errors of pictures, against closed forms."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from sbcore.runtime.metrics import (
    COMPONENT_BANDS,
    TextureReference,
    band_contrast,
    diversity,
    frechet_distance,
    laplacian_pyramid,
    mean_difference,
    nearest_neighbours,
    precision_recall,
    principal_variances,
    psnr,
    seam_error,
    sliced_w2,
    sliced_wasserstein,
    ssim,
)


def textures(n: int, seed: int, size: int = 32) -> torch.Tensor:
    """Smooth random pictures in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, size // 4, size // 4, generator=generator)
    return F.interpolate(coarse, size=(size, size), mode="bilinear")


def noise_of(pictures: torch.Tensor, seed: int = 2) -> torch.Tensor:
    return torch.randn(pictures.shape, generator=torch.Generator().manual_seed(seed))


def faded(pictures: torch.Tensor, contrast: float | torch.Tensor) -> torch.Tensor:
    """The same pictures with a part of their contrast, around the mean of each channel."""
    mean = pictures.mean((0, 2, 3), keepdim=True)
    return mean + contrast * (pictures - mean)


# ----------------------------------------------------------------------------------------------
# Texture


def test_pyramid_is_linear_and_sees_no_detail_in_a_plain_picture():
    pictures = textures(2, 0, 64)
    levels = laplacian_pyramid(pictures)
    assert [level.shape[-1] for level in levels] == [64, 32, 16]
    flat = laplacian_pyramid(torch.full((1, 3, 64, 64), 0.3))
    assert flat[0].abs().max() < 1e-6 and torch.allclose(flat[-1], torch.tensor(0.3))
    scaled = laplacian_pyramid(2 * pictures + 0.1)
    for level, twice in zip(levels[:-1], scaled[:-1], strict=True):
        torch.testing.assert_close(twice, 2 * level, atol=1e-5, rtol=0)


def test_pyramid_tells_the_size_of_what_it_sees():
    """Stripes two pixels wide are in the finest level, a wave over the picture in the coarsest."""
    x = torch.arange(64.0)
    stripes = (torch.pi * x).cos().expand(1, 3, 64, 64)
    wave = (torch.pi * x / 32).cos().expand(1, 3, 64, 64)
    energy = [[float(level.var()) for level in laplacian_pyramid(p)] for p in (stripes, wave)]
    assert energy[0][0] > 100 * max(energy[0][1:])
    assert energy[1][-1] > 100 * max(energy[1][:-1])


def test_sliced_distance_of_like_sets_is_far_below_that_of_noisy_and_of_blurred_ones():
    real, like = textures(40, 0), textures(40, 1)
    reference, noise = TextureReference(real), noise_of(like)
    floor, little, noisy = (
        reference.distance(like + level * noise)["32"] for level in (0, 0.02, 0.05)
    )
    assert floor < little < noisy and noisy > 2 * floor
    blurred = F.avg_pool2d(F.pad(like, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    assert reference.distance(blurred)["32"] > 2 * floor


def test_a_set_with_less_contrast_is_seen_in_units_of_the_second_set():
    """Normalised each by its own deviation, the sets would be alike; here half seen is double."""
    real = textures(30, 0)
    weak = faded(real, 0.5)
    there, back = sliced_wasserstein(weak, real)["mean"], sliced_wasserstein(real, weak)["mean"]
    assert there > 3 * sliced_wasserstein(textures(30, 1), real)["mean"]
    assert back == pytest.approx(2 * there, rel=0.1)
    assert sliced_wasserstein(real + 0.5, real)["16"] > 3 * sliced_wasserstein(real, real)["16"]


def test_sliced_distance_repeats_and_refuses_sets_of_other_sizes():
    a, b = textures(10, 0), textures(10, 1)
    first = sliced_wasserstein(a, b, seed=3)
    assert first == sliced_wasserstein(a, b, seed=3) != sliced_wasserstein(a, b, seed=4)
    assert first == TextureReference(b, seed=3).distance(a)
    assert first["mean"] == pytest.approx((first["32"] + first["16"]) / 2)
    with pytest.raises(ValueError, match="equal shapes"):
        sliced_wasserstein(a, b[:5])


def test_contrast_is_that_of_each_band():
    real = textures(50, 0, 64)
    found = band_contrast(faded(real, 0.84), real)
    assert found == pytest.approx({"64": 0.84, "32": 0.84, "16": 0.84}, rel=1e-4)
    stripes = 0.2 * (torch.pi * torch.arange(64.0)).cos()
    finest = band_contrast(real + stripes, real)
    assert finest["64"] > 2 and finest["16"] == pytest.approx(1, abs=0.01)


# ----------------------------------------------------------------------------------------------
# Principal components, means


def test_variances_are_those_of_each_band_of_components():
    n, dim = 4000, 768
    basis = torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(0))).Q
    gains = torch.cat(
        [torch.full((k,), g) for k, g in ((4, 0.5), (12, 1.0), (48, 2.0), (192, 1.0), (512, 0.3))]
    )
    z = torch.randn(n, dim, generator=torch.Generator().manual_seed(1))
    found = principal_variances((z * gains) @ basis.T + 3, z @ basis.T, basis[:, :512].T)
    names = [f"{a}-{b}" for a, b in pairwise(COMPONENT_BANDS)]
    assert list(found) == [*names, "rest"]
    wanted = [0.25, 1, 4, 1, 0.09, 0.09]
    assert list(found.values()) == pytest.approx(wanted, rel=1e-3)


def test_variances_go_as_far_as_the_basis():
    z = torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    found = principal_variances(2 * z, z, torch.eye(40)[:10])
    assert found == pytest.approx({"0-4": 4, "4-16": 4, "rest": 4})


def test_mean_difference_is_that_of_the_mean_pictures():
    real = textures(20, 0)
    assert mean_difference(real.flip(0), real) == pytest.approx(0, abs=1e-6)
    assert mean_difference(real + 0.1, real) == pytest.approx(0.1, rel=1e-4)
    half = real.clone()
    half[..., :16] += 0.2
    assert mean_difference(half, real) == pytest.approx(0.2 / 2**0.5, rel=1e-4)


def test_frechet_distance_of_a_shift_and_a_scale_is_the_closed_form():
    a = torch.randn(3000, 4, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 0.5) == pytest.approx(4 * 0.25, rel=1e-5)
    # Scaled by 2: sum over components of (2 sd - sd)^2; pictures are told by their components.
    pictures = a.view(-1, 1, 2, 2)
    found = frechet_distance(pictures, 2 * pictures - pictures.mean(0), torch.eye(4))
    assert found == pytest.approx(float(a.var(0).sum()), rel=1e-3)


def test_neighbours_find_copies_and_mirrored_copies():
    training = (torch.rand(30, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).byte()
    copies = torch.stack([training[7], training[11].flip(-1)]) / 255.0
    found = nearest_neighbours(copies, training)
    assert found.index.tolist() == [7, 11]
    assert found.nearest.max() < 1e-3
    assert found.copies == 1.0
    fresh = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert nearest_neighbours(fresh, training).copies == 0.0


# ----------------------------------------------------------------------------------------------
# Features


def test_frechet_distance_of_correlated_gaussians_is_the_closed_form():
    """Two directions swapped: (sqrt(l1) - sqrt(l2))^2 twice, for commuting covariances."""
    z = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)).double()
    z = torch.linalg.qr(z - z.mean(0)).Q * (1999**0.5)  # exactly uncorrelated, of variance 1
    a, b = z * torch.tensor([3.0, 1.0]), z * torch.tensor([1.0, 3.0])
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]]).double()
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(2 * (3 - 1) ** 2, rel=1e-6)


def test_precision_and_recall_tell_missing_modes_from_wrong_ones():
    """Drawn from one of two modes: precise, half recalled; half beside both: the reverse."""
    noise = torch.randn(4, 300, 2, generator=torch.Generator().manual_seed(0))
    assert precision_recall(noise[0], noise[0]) == (1, 1)
    both = torch.cat([noise[0], noise[1] + 50])
    found = precision_recall(both, noise[2])
    assert found.precision > 0.9 and 0.4 < found.recall <= 0.5
    wrong = torch.cat([noise[2], noise[3] - 50])
    found = precision_recall(noise[0], wrong)
    assert 0.4 < found.precision <= 0.5 and found.recall > 0.9


def test_precision_counts_the_points_within_the_kth_neighbour():
    real = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]])  # radii for k = 1: 1 each
    drawn = torch.tensor([[-0.9], [4.5], [5.2], [9.0]])  # the last two lie outside
    assert precision_recall(real, drawn, k=1).precision == 0.5
    with pytest.raises(ValueError, match="k = 3"):
        precision_recall(torch.zeros(3, 2), torch.zeros(9, 2))


# ----------------------------------------------------------------------------------------------
# Errors of restored pictures


HOLE = torch.zeros(16, 16, dtype=torch.bool)
HOLE[4:12, 4:12] = True


def test_psnr_is_of_the_hole_alone():
    truth = textures(3, 0, 16)
    drawn = truth.clone()
    drawn[..., ~HOLE] += 0.7
    drawn[0, :, HOLE], drawn[1, :, HOLE] = drawn[0, :, HOLE] + 0.1, drawn[1, :, HOLE] - 0.01
    found = psnr(drawn, truth, HOLE)
    assert found[0].item() == pytest.approx(20, abs=1e-3)
    assert found[1].item() == pytest.approx(40, abs=1e-2)
    assert found[2].item() == float("inf")


def test_ssim_of_constants_is_the_luminance_term():
    a, b = torch.full((2, 3, 16, 16), 0.3), torch.full((2, 3, 16, 16), 0.7)
    expected = (2 * 0.3 * 0.7 + 1e-4) / (0.3**2 + 0.7**2 + 1e-4)
    assert ssim(a, b).tolist() == pytest.approx([expected] * 2, rel=1e-4)
    assert ssim(a, a).tolist() == pytest.approx([1, 1])


def test_ssim_agrees_with_scikit_image():
    """structural_similarity(gaussian_weights=True, use_sample_covariance=False) of 0.26."""
    axis = torch.arange(32.0).double() / 32
    y, x = axis[:, None], axis[None, :]
    a = torch.stack([0.5 + 0.4 * torch.sin(7 * x + 3 * y), 0.5 + 0.3 * torch.cos(11 * y + 0 * x),
                     x * y])  # fmt: skip
    b = (a + 0.1 * torch.cos(40 * x * y) + 0.05).clamp(0, 1)
    assert ssim(a[None], b[None]).item() == pytest.approx(0.6558424181, abs=1e-6)


def test_seam_error_is_the_step_at_the_border():
    truth = textures(2, 0, 16)
    drawn = truth.clone()
    drawn[0, :, HOLE] += 0.2  # the same gradients inside, a step of 0.2 all around
    found = seam_error(drawn, truth, HOLE)
    assert found.tolist() == pytest.approx([0.2, 0], abs=1e-6)
    inner = torch.zeros_like(HOLE)
    inner[6:10, 6:10] = True
    drawn[1, :, inner] += 0.5  # far from the border
    assert seam_error(drawn, truth, HOLE)[1] == 0


def test_diversity_is_the_mean_difference_of_pairs_in_the_hole():
    fills = torch.zeros(3, 3, 16, 16)
    fills[0, :, HOLE], fills[1, :, HOLE] = 0.1, 0.4
    fills[..., ~HOLE] += torch.rand(3, 1, 1)  # not counted
    assert diversity(fills, HOLE) == pytest.approx((0.3 + 0.4 + 0.1) / 3, rel=1e-5)
    assert diversity(fills[:1].expand(4, -1, -1, -1), HOLE) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(("dim", "rel"), [(1, 1e-5), (2, 1e-5), (5, 0.2)])
def test_sliced_w2_of_a_shift_is_closed_form(dim, rel):
    points = torch.randn(500, dim, generator=torch.Generator().manual_seed(0))
    assert sliced_w2(points, points.flip(0)) == 0
    shift = torch.zeros(dim)
    shift[-1] = 2
    assert sliced_w2(points, points + shift) == pytest.approx(2 / dim**0.5, rel=rel)
