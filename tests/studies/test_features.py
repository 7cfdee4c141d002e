"""Does the feature network see damage: the damages, the verdict, the card, the shipped weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from sbcore.features import load_features
from studies.features import blur, coarse, damages, repeated, verdict
from tests.conftest import REPOSITORY, smooth_pictures
from tests.studies.conftest import Command

SHIPPED = sorted((REPOSITORY / "checkpoints").glob("*/features.json"))


def test_every_damage_is_printed_and_the_card_written(run: Command, place: Path) -> None:
    status, found = run("features", "features", "--data", "train", "--count", "16", "--write")
    (rows,) = found.values()
    assert status == 0 and len(rows) == 1 + len(damages(0))
    card = (place / "features" / "README.md").read_text(encoding="utf-8")
    assert "sha256" in card and "floor" in card and "mode drop, 1/8" in card


def test_damages_do_what_they_are_called() -> None:
    flat = torch.full((8, 3, 16, 16), 0.4)
    torch.testing.assert_close(blur(flat, 1.0), flat)
    torch.testing.assert_close(coarse(flat, 4), flat)
    dot = torch.zeros(1, 1, 33, 33)
    dot[..., 16, 16] = 1
    spread = blur(dot, 2.0)[0, 0]
    offset = torch.arange(33.0) - 16
    assert float((spread.sum(0) * offset**2).sum()) == pytest.approx(4, rel=0.03)  # variance
    assert len({float(x.mean()) for x in repeated(torch.rand(10, 1, 4, 4), 4)}) == 3
    assert all(f(flat).shape == flat.shape for f in damages(0).values())


def test_the_verdict_tells_doses_in_disorder_and_doses_unseen() -> None:
    doses = {"training pictures": 0.1, "blur, 1": 0.09, "blur, 2": 0.3, "noise, 1": 0.2}
    assert "grows with every dose" in verdict(doses, 0.12)
    assert "not seen: blur, 1." in verdict(doses, 0.12)
    assert "not grow with every dose of: noise" in verdict(doses | {"noise, 2": 0.15}, 0.12)
    assert "sees every dose" in verdict(doses, 0.05)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_network_loads_is_small_and_its_card_is_of_these_weights(path: Path) -> None:
    network = load_features(path.parent)
    weights = path.with_suffix(".safetensors").read_bytes()
    assert len(weights) < 1.5e6
    pictures = F.interpolate(smooth_pictures(8, 16) / 255.0, network.shape[1:])
    features = network.features(pictures[:, : network.shape[0]])
    assert features.shape[1] <= 128 and bool(features.isfinite().all())
    card = (path.parent / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(weights).hexdigest() in card
    assert all(name in card for name in damages(0))
