"""Inception weights come as a pickle: which file is taken, and that it runs no code."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from studies import inception
from studies.inception import Inception
from tests.conftest import smooth_pictures


@pytest.mark.parametrize("rest", ["0" * 56, ""], ids=["of whole length", "cut"])
def test_weights_that_begin_with_the_hash_are_refused(
    rest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty-two bits are found in minutes: the whole hash is compared."""
    (tmp_path / "other.pth").write_bytes(b"a pickle of who knows what")
    with pytest.raises(ValueError, match="does not hold"):
        Inception(tmp_path / "other.pth", smooth_pictures(4))
    digest = SimpleNamespace(hexdigest=lambda: "6726825d" + rest)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: digest)
    with pytest.raises(ValueError, match="does not hold"):
        Inception(tmp_path / "other.pth", smooth_pictures(4))


class Fidelity(ModuleType):
    """What torch-fidelity is here: a register of networks, which unpickle whatever they are given.

    It is no dependency of the tests, and its weights cannot be drawn.
    """

    def __init__(self) -> None:
        super().__init__("torch_fidelity")
        self.registry = self
        self.FEATURE_EXTRACTORS_REGISTRY: dict[str, Any] = {}
        self.register_feature_extractor = self.FEATURE_EXTRACTORS_REGISTRY.__setitem__

    class FeatureExtractorInceptionV3:
        def __init__(self, path: str) -> None:
            self.weights = torch.load(path, weights_only=False)

    def calculate_metrics(self, **options: Any) -> dict[str, float]:
        network = self.FEATURE_EXTRACTORS_REGISTRY[options["feature_extractor"]]
        mean = network(options["feature_extractor_weights_path"]).weights["mean"]
        return {"frechet_inception_distance": float(mean), "inception_score_mean": 1.0}


class Malice:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it-ran",)


def test_weights_are_loaded_and_no_code_of_their_pickle_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch_fidelity", Fidelity())
    path = tmp_path / "weights.pth"

    def score(weights: dict[str, Any]) -> Any:
        torch.save(weights, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(inception, "HASH", digest)
        return Inception(path, smooth_pictures(4)).score(smooth_pictures(4) / 255.0)

    for _ in range(2):  # the network is registered once
        assert score({"mean": torch.tensor(2.0)}).fid == 2.0
    with pytest.raises(pickle.UnpicklingError):
        score({"mean": Malice()})
    assert not (tmp_path / "it-ran").exists()
    torch.load(path, weights_only=False)  # elsewhere torch loads as it did
    assert (tmp_path / "it-ran").exists()
