"""Masks: random ones for training, strokes, ready-made holes."""

from __future__ import annotations

import torch

from sbcore.data.masks import random_masks


def test_masks_are_boolean_and_each_has_known_pixels_and_a_hole() -> None:
    size = 28
    masks = random_masks(500, size, torch.Generator().manual_seed(0))
    assert masks.shape == (500, 1, size, size) and masks.dtype == torch.bool
    known = masks.flatten(1).float().mean(1)
    assert known.min() > 0 and known.max() < 1


def test_masks_are_determined_by_the_generator() -> None:
    first, again, other = (
        random_masks(20, 16, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_masks_are_of_all_the_kinds_that_people_draw() -> None:
    """Boxes and half pictures are rectangles; pixels scatter; strokes are neither."""
    masks = random_masks(400, 32, torch.Generator().manual_seed(0))[:, 0]

    def is_rectangle(region: torch.Tensor) -> bool:
        ys, xs = region.nonzero(as_tuple=True)
        area = (ys.max() - ys.min() + 1) * (xs.max() - xs.min() + 1)
        return bool(area == region.sum())

    changes = (masks[:, 1:] != masks[:, :-1]).float().mean((1, 2))
    scattered = changes > 0.1
    halves = torch.stack([m.any(0).all() & m.any(1).all() for m in ~masks]) & ~scattered
    boxes = torch.tensor([is_rectangle(~m) for m in masks])
    outside = torch.tensor([is_rectangle(m) for m in masks])
    edges = torch.tensor(
        [bool(m[0].any() or m[-1].any() or m[:, 0].any() or m[:, -1].any()) for m in masks]
    )
    assert (boxes & edges).any()  # box holes and half pictures
    assert (outside & ~edges).any()  # outpainting around a box
    assert scattered.any() and halves.any()
    assert (~boxes & ~outside & ~scattered).any()  # strokes
