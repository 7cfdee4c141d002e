"""Training of the networks of the paper: what is learned, measured and published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from sbcore import Bridge, CheckpointError
from sbcore.data.batches import Batches
from sbcore.runtime.trainer import NetworkPlan, NetworkTrainer, Progress
from sbcore.twostage.denoiser import Denoiser, DenoiserConfig, load_denoiser
from sbcore.twostage.training import (
    NOISE_LEVELS,
    Preset,
    ScorePlan,
    held_out_loss,
    random_batch,
    random_corruption,
    ratio_trainer,
    score_trainer,
)
from tests.conftest import SIGMA, TAU, TINY, smooth_pictures, tiny_denoiser
from tests.runtime.test_trainer import assert_same_run, run

PRESET = Preset("tiny", TINY, SIGMA, TAU)
PICTURES = smooth_pictures(80)
SHORT = {"images": 48, "batch_size": 8, "warmup_steps": 2}


def score(
    folder: Path, *, resume: bool = False, preset: Preset = PRESET, init: Path | None = None,
    pictures: torch.Tensor = PICTURES[:72], held_out: torch.Tensor = PICTURES[72:],
    precision: str = "fp32", **options: Any,
) -> NetworkTrainer:  # fmt: skip
    """A run of the denoiser of 6 steps, unless options say otherwise."""
    return score_trainer(
        pictures, held_out, preset, ScorePlan(**SHORT | options), folder, precision=precision,
        resume=resume, cpu=True, init=init,
    )  # fmt: skip


def ratio(
    folder: Path, *, resume: bool = False, sigma: float = SIGMA, **options: Any
) -> NetworkTrainer:
    return ratio_trainer(
        PICTURES[:72], PICTURES[72:], PICTURES[:72].float().mean(0) / 255,
        NetworkPlan(**SHORT | options), folder, channels=4, sigma=sigma, tau=TAU,
        precision="fp32", resume=resume, cpu=True,
    )  # fmt: skip


def shaped(name: str, **network: Any) -> Preset:
    shape = {"image_size": 16, "rank": 8, "channels": (8,), "blocks": (1,), "attention": (False,)}
    return Preset(name, DenoiserConfig(**shape | network), SIGMA, TAU)


# ----------------------------------------------------------------------------------------------
# A run


Finished = tuple[NetworkTrainer, list[Progress], float, Path]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A short run of the denoiser, its progress, the held-out score before it, its folder."""
    folder = tmp_path_factory.mktemp("run") / "tiny"
    trainer = score(folder, images=640, batch_size=16, learning_rate=3e-3)
    before = held_out_loss(average(trainer), PICTURES[72:])["score"]
    return trainer, run(trainer), before, folder


def average(trainer: NetworkTrainer) -> Denoiser:
    found = trainer.networks["average"]
    assert isinstance(found, Denoiser)
    return found


def test_held_out_and_training_loss_fall(finished: Finished) -> None:
    _, progress, before, _ = finished
    assert progress[-1].evaluation["score"] < 0.97 * before
    assert progress[-1].loss < progress[0].loss


def test_published_checkpoint_is_the_average_and_loads(finished: Finished) -> None:
    trainer, progress, _, folder = finished
    bridge = Bridge.from_pretrained(folder, "cpu")
    assert (bridge.name, bridge.sigma, bridge.tau) == ("tiny", SIGMA, TAU)
    picture = bridge.generate(1, seed=0, steps=3).result()
    assert picture.shape == (1, *TINY.shape) and picture.isfinite().all()
    loaded, config = load_denoiser(folder)
    for name, tensor in average(trainer).state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=1e-3, atol=1e-6)
    facts = config["training"]
    assert (facts["images"], facts["pictures"], facts["flip"]) == (640, 72, True)
    assert facts["score"] == progress[-1].evaluation["score"]
    assert facts["plan"]["batch_size"] == 16 and facts["plan"]["noise_tail"] == 0.1


def test_published_statistics_are_those_of_the_training_set(finished: Finished) -> None:
    denoiser = average(finished[0])
    pictures = PICTURES[:72].double() / 255
    everything = torch.cat([pictures, pictures.flip(-1)])  # mirrored pictures belong to the set
    torch.testing.assert_close(denoiser.mean.double(), everything.mean(0), rtol=0, atol=1e-6)
    centred = (everything - everything.mean(0)).flatten(1)
    assert denoiser.data_std.item() == pytest.approx(centred.std().item(), rel=1e-3)
    top = torch.linalg.eigvalsh(centred.T @ centred / len(centred)).flip(0)[: TINY.rank]
    torch.testing.assert_close(denoiser.linear.eigenvalues.double(), top, rtol=1e-3, atol=1e-5)


def test_density_ratio_trains_and_is_published_beside_the_denoiser(tmp_path: Path) -> None:
    """The optimum is far above chance, 2 ln 2: 768 values of variance >= 4 against 8."""
    run(score(tmp_path, images=8))
    assert not Bridge.from_pretrained(tmp_path, "cpu").has_density_ratio
    progress = run(ratio(tmp_path, images=640, learning_rate=2e-3))
    assert progress[-1].evaluation["score"] < 1.2
    assert Bridge.from_pretrained(tmp_path, "cpu").has_density_ratio


def test_other_pictures_to_train_on_or_to_select_by_are_another_run(tmp_path: Path) -> None:
    run(score(tmp_path, images=8))
    with pytest.raises(CheckpointError, match="another data"):
        score(tmp_path, images=16, resume=True, pictures=PICTURES[:71])
    with pytest.raises(CheckpointError, match="another held-out data"):
        score(tmp_path, images=16, resume=True, held_out=PICTURES[70:])


def test_a_density_ratio_of_another_bridge_is_another_run(tmp_path: Path) -> None:
    run(score(tmp_path, images=8))
    run(ratio(tmp_path, images=8))
    with pytest.raises(CheckpointError, match=r"another sigma \(2.0, not 1.0\)"):
        ratio(tmp_path, images=16, resume=True, sigma=1.0)


def test_another_precision_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(score(tmp_path, images=8))
    score(tmp_path, images=8, resume=True, precision="bf16")
    assert [record.getMessage() for record in caplog.records] == [
        "The run goes on with bf16 True instead of False."
    ]


def test_few_pictures_train_with_fewer_components(tmp_path: Path) -> None:
    trainer = score(tmp_path, pictures=PICTURES[:3], images=8, batch_size=4)
    run(trainer)
    assert average(trainer).linear.rank == 1
    assert Bridge.from_pretrained(tmp_path, "cpu").generate(1, steps=2).result().isfinite().all()


def test_filter_of_few_pictures_does_not_trust_their_span(tmp_path: Path) -> None:
    """With as many components as pictures, nothing is left for unseen ones, and D(v, s) fails."""
    denoiser = average(score(tmp_path, preset=shaped("few", rank=512)))
    unlike = torch.randint(256, (8, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    result = held_out_loss(denoiser, unlike.to(torch.uint8))
    assert result["linear"]["0.02"] < 0.002  # below 5 s^2 even for noise pictures
    assert held_out_loss(denoiser, PICTURES[72:])["score"] < 3


def test_rank_0_is_trained_with_edm_preconditioning(tmp_path: Path) -> None:
    denoiser = average(score(tmp_path, preset=shaped("edm", rank=0)))
    torch.testing.assert_close(denoiser.linear.rest, denoiser.data_std**2)


def test_a_run_starts_from_published_weights_of_its_own_shape(tmp_path: Path) -> None:
    first = score(tmp_path / "first")
    run(first)
    again = average(score(tmp_path / "again", init=tmp_path / "first"))
    pairs = zip(again.trunk.parameters(), average(first).trunk.parameters(), strict=True)
    for new, old in pairs:
        torch.testing.assert_close(new, old, rtol=1e-3, atol=1e-4)  # half precision
    with pytest.raises(CheckpointError, match="another network"):
        score(tmp_path / "wider", preset=shaped("wider"), init=tmp_path / "first")
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        score(tmp_path / "none", init=tmp_path / "nothing")


@pytest.mark.parametrize("make", [score, ratio])
def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(make: Any, tmp_path: Path) -> None:
    whole = make(tmp_path / "whole")
    run(whole)
    run(make(tmp_path / "parts"), 3)
    resumed = make(tmp_path / "parts", resume=True)
    assert [p.step for p in run(resumed)] == [4, 5, 6]
    assert_same_run(whole, resumed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": shaped("other")}, "another network"),
        ({"pictures": PICTURES[:71]}, "another data"),
    ],
)
def test_state_of_another_network_or_data_is_refused(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    run(score(tmp_path), 1)
    with pytest.raises(CheckpointError, match=message):
        score(tmp_path, resume=True, **options)


# ----------------------------------------------------------------------------------------------
# Batches, noise, evaluation


def test_batches_are_centred_and_half_of_them_mirrored() -> None:
    picture = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    picture[..., 0] = 255
    mean = torch.full((1, 4, 4), 0.25)
    generator = torch.Generator().manual_seed(0)

    def batch(rows: int, flip: bool) -> torch.Tensor:
        batches = Batches(picture, rows, Accelerator(cpu=True))
        return random_batch(batches, mean, flip, generator)

    pictures = batch(400, flip=True)
    assert pictures.dtype == torch.float32
    left = pictures[:, 0, 0, 0] == 0.75
    assert ((pictures[:, 0, 0, 3] == 0.75) == ~left).all()
    assert 150 < int(left.sum()) < 250
    assert (batch(50, flip=False)[:, 0, 0, 0] == 0.75).all()


def test_noise_levels_follow_the_plan_and_masks_only_the_conditional_part() -> None:
    plan = ScorePlan(images=1, noise_mean=-10.0, noise_std=0.5, noise_tail=0.3, conditional=0.25)
    shape = (8000, 1, 8, 8)
    s, noise, mask = random_corruption(shape, plan, torch.Generator().manual_seed(0))
    low, tail = s[s < 1].log(), s[s >= 1]  # the tail reaches stage 1
    assert low.mean().item() == pytest.approx(-10.0, abs=0.03)
    assert low.std().item() == pytest.approx(0.5, abs=0.03)
    assert len(tail) / 8000 == pytest.approx(0.3, abs=0.03)
    assert tail.max() <= 40 and tail.log().mean().item() == pytest.approx(1.844, abs=0.1)
    assert noise.shape == shape and noise.std().item() == pytest.approx(1, abs=0.01)
    assert mask.flatten(1).any(1).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_held_out_loss_of_the_wiener_filter_is_its_own_linear_error() -> None:
    denoiser = tiny_denoiser()
    with torch.no_grad():
        for parameter in denoiser.trunk.head.parameters():
            parameter.zero_()
    result = held_out_loss(denoiser, PICTURES[:10])
    assert result["by_noise_level"] == result["linear"]
    assert list(result["by_noise_level"]) == [f"{s:g}" for s in NOISE_LEVELS]
    assert held_out_loss(denoiser, PICTURES[:10]) == result  # fixed noise
    relative = [
        result["linear"][f"{s:g}"] / denoiser.linear.rms_error(torch.tensor([s])).item() ** 2
        for s in NOISE_LEVELS
    ]
    assert result["score"] == pytest.approx(sum(relative) / len(relative), rel=1e-5)
