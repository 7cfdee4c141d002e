import pytest
import torch
import torch.nn.functional as F

from sbcore.runtime.metrics import (
    _blur,
    diversity,
    frechet_distance,
    laplacian_pyramid,
    nearest_neighbours,
    precision_recall,
    psnr,
    seam_error,
    sliced_w2,
    sliced_wasserstein,
    ssim,
)
from studies import card as cards
from studies.report import contact_sheet


def textures(n: int, seed: int, size: int = 32) -> torch.Tensor:
    """Smooth random pictures in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, size // 4, size // 4, generator=generator)
    return F.interpolate(coarse, size=(size, size), mode="bilinear")


def test_pyramid_adds_up_to_the_picture():
    pictures = textures(2, 0, 64)
    levels = laplacian_pyramid(pictures)
    assert [level.shape[-1] for level in levels] == [64, 32, 16]
    rebuilt = levels[-1]
    for level in reversed(levels[:-1]):
        spread = torch.zeros_like(level)
        spread[:, :, ::2, ::2] = rebuilt
        rebuilt = level + 4 * _blur(spread)
    assert torch.allclose(rebuilt, pictures, atol=1e-6)


def test_swd_of_like_sets_is_far_below_that_of_noisy_and_of_blurred_ones():
    a, b = textures(100, 0), textures(100, 1)
    floor = sliced_wasserstein(a, b)["32"]
    noise = torch.randn(b.shape, generator=torch.Generator().manual_seed(2))
    assert sliced_wasserstein(a, b + 0.05 * noise)["32"] > 2 * floor
    assert sliced_wasserstein(a, _blur(_blur(torch.rand_like(b))))["32"] > 2 * floor


def test_swd_grows_with_the_noise():
    a, b = textures(50, 0), textures(50, 1)
    noise = torch.randn(b.shape, generator=torch.Generator().manual_seed(2))
    distances = [sliced_wasserstein(a, b + level * noise)["32"] for level in (0, 0.02, 0.1)]
    assert distances == sorted(distances)


def test_swd_repeats_and_refuses_sets_of_other_sizes():
    a, b = textures(10, 0), textures(10, 1)
    assert sliced_wasserstein(a, b, seed=3) == sliced_wasserstein(a, b, seed=3)
    with pytest.raises(ValueError, match="equal shapes"):
        sliced_wasserstein(a, b[:5])


def test_frechet_distance_of_a_shift_and_a_scale_is_the_closed_form():
    a = torch.randn(4000, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * 0.1
    basis = torch.eye(4)
    assert frechet_distance(a, a, basis) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 0.5, basis) == pytest.approx(4 * 0.25, rel=1e-5)
    # Scaled by 2: sum over components of (2 sd - sd)^2.
    variance = a.flatten(1).var(0).sum() + 0.0
    assert frechet_distance(a, 2 * a - a.mean(0), basis) == pytest.approx(float(variance), rel=1e-3)


def test_neighbours_find_copies_and_mirrored_copies():
    training = (torch.rand(30, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).byte()
    copies = torch.stack([training[7], training[11].flip(-1)]) / 255.0
    found = nearest_neighbours(copies, training)
    assert found.index.tolist() == [7, 11]
    assert found.nearest.max() < 1e-3
    assert found.copies == 1.0
    fresh = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert nearest_neighbours(fresh, training).copies == 0.0


def test_card_states_every_figure_with_its_floor(bridge):
    c, h, w = bridge.shape
    generator = torch.Generator().manual_seed(0)
    training = (torch.rand(40, c, h, w, generator=generator) * 255).byte()
    held_out = (torch.rand(30, c, h, w, generator=generator) * 255).byte()
    found = cards.measure(bridge, training, held_out, count=20)
    levels = {"0.1": 0.01, "1": 0.02}
    config = {
        "sigma": 2.0,
        "tau": 8.0,
        "network": {"rank": 8},
        "data": {"name": "noise", "license": "none"},
        "training": {
            "images": 1000, "seconds": 60, "pictures": 40, "device": "a toaster",
            "by_noise_level": levels, "linear": levels,
        },
    }  # fmt: skip
    text = cards.card("tiny", config, found, "python evaluate.py card tiny")
    for wanted in (
        "floor",
        "no network",
        "1,000 images",
        "a toaster",
        "held-out pictures",
        "noise",
    ):
        assert wanted in text
    assert contact_sheet(found["pictures"]).size == (8 * 2 * w, 3 * 2 * h)
    with pytest.raises(ValueError, match="31"):
        cards.measure(bridge, training, held_out, count=31)


# ----------------------------------------------------------------------------------------------
# Features


def test_frechet_distance_of_features_needs_no_basis():
    a = torch.randn(3000, 4, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(a, a + 0.5) == pytest.approx(4 * 0.25, rel=1e-5)
    pictures = a.view(-1, 1, 2, 2)
    assert frechet_distance(pictures, 2 * pictures, torch.eye(4)) == pytest.approx(
        frechet_distance(a, 2 * a)
    )


def test_frechet_distance_of_correlated_gaussians_is_the_closed_form():
    """Two directions swapped: (sqrt(l1) - sqrt(l2))^2 twice, for commuting covariances."""
    z = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)).double()
    z = torch.linalg.qr(z - z.mean(0)).Q * (1999**0.5)  # exactly uncorrelated, of variance 1
    a, b = z * torch.tensor([3.0, 1.0]), z * torch.tensor([1.0, 3.0])
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]]).double()
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(2 * (3 - 1) ** 2, rel=1e-6)


def test_precision_and_recall_of_equal_and_of_distant_sets():
    a = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    assert precision_recall(a, a) == (1, 1)
    assert precision_recall(a, a + 100) == (0, 0)


def test_precision_and_recall_tell_missing_modes_from_wrong_ones():
    """Drawn from one of two modes: precise, half recalled; half beside both: the reverse."""
    noise = torch.randn(4, 300, 2, generator=torch.Generator().manual_seed(0))
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


def test_precision_recall_refuses_small_sets():
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
