"""Training: the loss falls, resuming is exact, every way of stopping leaves something usable."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from sbcore import Bridge, CheckpointError
from sbcore.runtime import checkpoints
from sbcore.runtime.trainer import Plan, Progress, Trainer
from sbcore.twostage.denoiser import DenoiserConfig, load_denoiser
from sbcore.twostage.training import (
    NOISE_LEVELS,
    Preset,
    held_out_loss,
    random_batch,
    random_corruption,
    ratio_trainer,
    score_trainer,
)
from tests.conftest import REPOSITORY, SIGMA, TAU, TINY, smooth_pictures, tiny_denoiser
from tests.data.test_pictures import idx, random_array

PRESET = Preset("tiny", TINY, SIGMA, TAU)
PICTURES = smooth_pictures(80)


def score(
    folder: Path,
    *,
    resume: bool = False,
    preset: Preset = PRESET,
    init: Path | None = None,
    **options: Any,
) -> Trainer:
    plan = Plan(**({"images": 48, "batch_size": 8, "warmup_steps": 2} | options))
    train, held_out = PICTURES[:72], PICTURES[72:]
    return score_trainer(
        train, held_out, preset, plan, folder, precision="fp32", resume=resume, cpu=True, init=init
    )


def ratio(folder: Path, *, resume: bool = False, **options: Any) -> Trainer:
    plan = Plan(**({"images": 48, "batch_size": 8, "warmup_steps": 2} | options))
    mean = PICTURES[:72].float().mean(0) / 255
    bridge = {"sigma": SIGMA, "tau": TAU}
    return ratio_trainer(
        PICTURES[:72],
        PICTURES[72:],
        mean,
        plan,
        folder,
        channels=4,
        **bridge,
        precision="fp32",
        resume=resume,
        cpu=True,
    )


def run(trainer: Trainer, steps: int | None = None) -> Progress:
    """Train to the end, or leave the loop after ``steps`` more steps."""
    last = None
    for count, progress in enumerate(trainer, start=1):
        last = progress
        if count == steps:
            break
    return last


def everything(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Weights, averages and moments by name."""
    tensors = {f"model.{k}": v for k, v in trainer.raw.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in trainer.average.state_dict().items()}
    for index, state in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
    return tensors


def assert_equal_bit_for_bit(one: Trainer, other: Trainer) -> None:
    expected, got = everything(one), everything(other)
    assert expected.keys() == got.keys()
    different = [name for name in expected if not torch.equal(expected[name], got[name])]
    assert different == []
    assert (one.step, one.images) == (other.step, other.images)


# ----------------------------------------------------------------------------------------------
# A run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, list[Progress], float]:
    """A short run of the denoiser, its progress, and the held-out score before it."""
    trainer = score(
        tmp_path_factory.mktemp("run") / "tiny", images=640, batch_size=16, learning_rate=3e-3
    )
    before = held_out_loss(trainer.average, PICTURES[72:])["score"]
    return trainer, list(trainer), before


def test_held_out_and_training_loss_fall(
    finished: tuple[Trainer, list[Progress], float],
) -> None:
    _, progress, before = finished
    assert progress[-1].evaluation["score"] < 0.97 * before
    assert progress[-1].loss < progress[0].loss


def test_progress_counts_up_to_the_plan(finished: tuple[Trainer, list[Progress], float]) -> None:
    trainer, progress, _ = finished
    assert [p.step for p in progress] == list(range(1, 41))
    assert [p.images for p in progress] == list(range(16, 641, 16))
    assert progress[-1].fraction == 1 and progress[19].fraction == 0.5
    assert progress[-1].seconds_left == 0 and progress[0].seconds_left > 0
    assert all(p.images_per_second > 0 for p in progress)
    assert [p for p in progress if p.evaluation] == progress[-1:]
    assert trainer.seconds > 0


def test_published_checkpoint_is_the_average_and_loads(
    finished: tuple[Trainer, list[Progress], float],
) -> None:
    trainer, progress, _ = finished
    bridge = Bridge.from_pretrained(trainer.folder.parent, "cpu")
    assert (bridge.name, bridge.sigma, bridge.tau) == ("tiny", SIGMA, TAU)
    picture = bridge.generate(1, seed=0, steps=3).result()
    assert picture.shape == (1, *TINY.shape) and picture.isfinite().all()
    loaded, config = load_denoiser(trainer.folder.parent)
    for name, tensor in trainer.average.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=1e-3, atol=1e-6)
    facts = config["training"]
    assert facts["images"] == 640 and facts["pictures"] == 72
    assert facts["score"] == progress[-1].evaluation["score"]
    assert facts["plan"]["batch_size"] == 16


def test_published_statistics_are_those_of_the_training_set(
    finished: tuple[Trainer, list[Progress], float],
) -> None:
    trainer, _, _ = finished
    pictures = PICTURES[:72].double() / 255
    everything = torch.cat([pictures, pictures.flip(-1)])  # mirrored pictures belong to the set
    torch.testing.assert_close(trainer.raw.mean.double(), everything.mean(0), rtol=0, atol=1e-6)
    centred = (everything - everything.mean(0)).flatten(1)
    assert trainer.raw.data_std.item() == pytest.approx(centred.std().item(), rel=1e-3)
    top = torch.linalg.eigvalsh(centred.T @ centred / len(centred)).flip(0)[: TINY.rank]
    torch.testing.assert_close(trainer.raw.linear.eigenvalues.double(), top, rtol=1e-3, atol=1e-5)


def test_weights_move_and_the_average_lags_behind(
    finished: tuple[Trainer, list[Progress], float],
) -> None:
    trainer, _, _ = finished
    raw, average = dict(trainer.raw.named_parameters()), dict(trainer.average.named_parameters())
    head = "trunk.head.weight"
    assert raw[head].abs().max() > 0 and average[head].abs().max() > 0
    assert not torch.equal(raw[head], average[head])


def test_only_a_better_model_is_published(tmp_path: Path) -> None:
    trainer = score(tmp_path)
    trainer.best = 0.0  # nothing beats it
    run(trainer)
    assert not (tmp_path / "config.json").exists()


def test_density_ratio_trains_and_is_published_beside_the_denoiser(tmp_path: Path) -> None:
    """The optimum is far above chance: 768 values of variance >= 4 against 8."""
    run(score(tmp_path, images=8))
    progress = run(ratio(tmp_path, images=640, learning_rate=2e-3))
    assert progress.evaluation["score"] < 1.2 < 2 * 0.6931
    bridge = Bridge.from_pretrained(tmp_path, "cpu")
    assert bridge.has_density_ratio and bridge._log_ratio(torch.zeros(2, *TINY.shape)).shape == (2,)


def test_few_pictures_train_with_fewer_components(tmp_path: Path) -> None:
    preset = Preset("few", TINY, SIGMA, TAU, flip=False)
    plan = Plan(images=8, batch_size=4)
    trainer = score_trainer(
        PICTURES[:3], PICTURES[3:4], preset, plan, tmp_path, precision="fp32", cpu=True
    )
    run(trainer)
    assert trainer.raw.linear.rank == 1
    assert Bridge.from_pretrained(tmp_path, "cpu").generate(1, steps=2).result().isfinite().all()


def test_filter_of_few_pictures_does_not_trust_their_span(tmp_path: Path) -> None:
    """With as many components as pictures, nothing is left for unseen ones, and D(v, s) fails."""
    many = DenoiserConfig(image_size=16, rank=512, channels=(8,), blocks=(1,), attention=(False,))
    trainer = score(tmp_path, preset=Preset("few", many, SIGMA, TAU))
    pictures = random_array(8, 3, 16, 16)
    result = held_out_loss(trainer.average, torch.from_numpy(pictures))
    assert result["linear"]["0.02"] < 0.002  # below 5 s^2 even for noise pictures
    assert held_out_loss(trainer.average, PICTURES[72:])["score"] < 3


def test_rank_0_is_trained_with_edm_preconditioning(tmp_path: Path) -> None:
    config = DenoiserConfig(image_size=16, rank=0, channels=(8,), blocks=(1,), attention=(False,))
    trainer = score(tmp_path, preset=Preset("edm", config, SIGMA, TAU), images=16)
    torch.testing.assert_close(trainer.raw.linear.rest, trainer.raw.data_std**2)
    run(trainer)
    assert Bridge.from_pretrained(tmp_path, "cpu").generate(1, steps=2).result().isfinite().all()


# ----------------------------------------------------------------------------------------------
# Exact resume


@pytest.mark.parametrize("make", [score, ratio])
def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(make: Any, tmp_path: Path) -> None:
    whole = make(tmp_path / "whole")
    assert run(whole).step == 6
    run(make(tmp_path / "parts"), 3)
    resumed = make(tmp_path / "parts", resume=True)
    assert (resumed.step, resumed.images) == (3, 24)
    assert run(resumed, 2).step == 5  # once more, in the decay of the learning rate
    resumed = make(tmp_path / "parts", resume=True)
    assert run(resumed).step == 6
    assert_equal_bit_for_bit(whole, resumed)


def test_resume_with_dropout_is_exact_too(tmp_path: Path) -> None:
    preset = Preset(
        "drop",
        DenoiserConfig(
            image_size=16, rank=8, channels=(16,), blocks=(1,), attention=(True,), dropout=0.3
        ),
        SIGMA,
        TAU,
    )
    whole = score(tmp_path / "whole", preset=preset)
    run(whole)
    run(score(tmp_path / "parts", preset=preset), 3)
    torch.manual_seed(12345)  # whatever the new process did with the global stream
    resumed = score(tmp_path / "parts", preset=preset, resume=True)
    run(resumed)
    assert_equal_bit_for_bit(whole, resumed)


def test_without_resume_a_run_starts_anew(tmp_path: Path) -> None:
    run(score(tmp_path), 3)
    assert score(tmp_path).step == 0


def test_resume_without_a_state_starts_at_the_beginning(tmp_path: Path) -> None:
    assert score(tmp_path, resume=True).step == 0


def test_finished_run_has_nothing_to_resume(tmp_path: Path) -> None:
    run(score(tmp_path))
    resumed = score(tmp_path, resume=True)
    assert list(resumed) == [] and resumed.step == 6


def test_best_score_survives_a_resume(tmp_path: Path) -> None:
    first = score(tmp_path)
    run(first)
    resumed = score(tmp_path, resume=True, images=64)
    assert resumed.best == first.best and resumed.history == first.history


def test_seeds_differ_by_step_and_by_seed(tmp_path: Path) -> None:
    losses = [[p.loss for p in score(tmp_path / str(s), seed=s, images=16)] for s in (0, 1)]
    assert losses[0] != losses[1]


def damage_state(kind: str, path: Path) -> None:
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif kind == "foreign":
        checkpoints.save_tensors(path, {"weights": torch.ones(2)}, {})
    elif kind == "no counters":
        tensors, _ = checkpoints.load_tensors(path)
        checkpoints.save_tensors(path, {k: v.clone() for k, v in tensors.items()}, {})


@pytest.mark.parametrize("kind", ["truncated", "foreign", "no counters"])
def test_broken_state_is_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    run(score(tmp_path), 1)
    damage_state(kind, tmp_path / "training" / "training.safetensors")
    with pytest.raises(CheckpointError, match=r"training\.safetensors.*\.$") as caught:
        score(tmp_path, resume=True)
    assert "\n" not in str(caught.value)


def test_state_of_another_network_is_refused_in_one_sentence(tmp_path: Path) -> None:
    run(score(tmp_path), 1)
    other = Preset(
        "other",
        DenoiserConfig(
            image_size=16, rank=8, channels=(16, 40), blocks=(1, 1), attention=(False, True)
        ),
        SIGMA,
        TAU,
    )
    with pytest.raises(CheckpointError, match="belongs to another network"):
        score(tmp_path, preset=other, resume=True)


# ----------------------------------------------------------------------------------------------
# Ways of stopping


def test_ctrl_c_in_the_loop_body_leaves_a_state_and_a_usable_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        for progress in score(tmp_path):
            if progress.step == 2:
                raise KeyboardInterrupt
    assert score(tmp_path, resume=True).step == 2
    assert Bridge.from_pretrained(tmp_path, "cpu").generate(1, steps=2).result().isfinite().all()


def test_ctrl_c_inside_a_step_saves_the_steps_before_it(tmp_path: Path) -> None:
    whole = score(tmp_path / "whole")
    run(whole)
    trainer = score(tmp_path / "parts")
    loss = trainer.loss

    def interrupted(network: torch.nn.Module, seed: int) -> torch.Tensor:
        value = loss(network, seed)
        if trainer.step == 3:
            raise KeyboardInterrupt
        return value

    trainer.loss = interrupted
    with pytest.raises(KeyboardInterrupt):
        run(trainer)
    resumed = score(tmp_path / "parts", resume=True)
    assert resumed.step == 3
    run(resumed)
    assert_equal_bit_for_bit(whole, resumed)


def test_closing_the_loop_saves(tmp_path: Path) -> None:
    steps: Iterator[Progress] = iter(score(tmp_path))
    next(steps)
    steps.close()
    assert score(tmp_path, resume=True).step == 1
    assert Bridge.from_pretrained(tmp_path, "cpu").shape == TINY.shape


def test_max_minutes_stops_and_publishes(tmp_path: Path) -> None:
    started = time.monotonic()
    progress = list(score(tmp_path, images=None, max_minutes=0.6 / 60))
    assert time.monotonic() - started < 15
    assert progress[-1].fraction == 1 and progress[-1].evaluation is not None
    assert progress[-1].seconds_left == 0
    assert Bridge.from_pretrained(tmp_path, "cpu").shape == TINY.shape


def test_max_minutes_also_bounds_a_run_of_given_length(tmp_path: Path) -> None:
    progress = list(score(tmp_path, images=10**9, max_minutes=1e-6))
    assert len(progress) == 1 and progress[0].fraction < 1e-6
    assert score(tmp_path, images=10**9, resume=True).step == 1


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_nan_raises_and_keeps_the_last_good_state(kind: str, tmp_path: Path) -> None:
    trainer = score(tmp_path, save_minutes=1e-9)  # saves at every step
    loss = trainer.loss

    def poisoned(network: torch.nn.Module, seed: int) -> torch.Tensor:
        value = loss(network, seed)
        if trainer.step == 3:
            weight = network.trunk.head.bias[0]
            # sqrt at 0 has the value 0 and the gradient 0 * inf = NaN
            value = value + ((0 * weight).abs().sqrt() if kind == "gradient" else torch.nan)
        return value

    trainer.loss = poisoned
    with pytest.raises(FloatingPointError, match=f"the {kind} is nan at step 3"):
        run(trainer)
    tensors, metadata = checkpoints.load_tensors(trainer.state_path)
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert json.loads(metadata["counters"])["step"] == 3
    assert all(p.isfinite().all() for p in trainer.raw.parameters())


def test_full_disk_stops_the_run_with_the_system_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    trainer = score(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run(trainer)
    assert not list(tmp_path.rglob("*.safetensors*"))


# ----------------------------------------------------------------------------------------------
# Plan, batches, noise, evaluation


@pytest.mark.parametrize(
    "name", ["images", "max_minutes", "batch_size", "learning_rate", "ema", "decay", "warmup_steps"]
)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_impossible_plan_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive"):
        Plan(**({"images": 100} | {name: value}))


def test_plan_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="images or max_minutes"):
        Plan()


def test_learning_rate_warms_up_holds_and_falls_to_nearly_zero(tmp_path: Path) -> None:
    trainer = score(tmp_path, images=800, warmup_steps=10, decay=0.5, learning_rate=1.0)
    rates = []
    for step in range(100):
        trainer.step, trainer.images = step, 8 * step
        rates.append(trainer._schedule())
    assert rates[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
    assert rates[10:50] == [1.0] * 40
    assert rates[75] == pytest.approx(0.5, abs=0.01) and 0 < rates[99] < 0.03


def test_batches_are_centred_and_half_of_them_mirrored() -> None:
    picture = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    picture[..., 0] = 255
    mean = torch.full((1, 4, 4), 0.25)
    generator = torch.Generator().manual_seed(0)
    batch = random_batch(picture, mean, 400, True, generator)
    assert batch.dtype == torch.float32
    left = batch[:, 0, 0, 0] == 0.75
    assert ((batch[:, 0, 0, 3] == 0.75) == ~left).all()
    assert 150 < int(left.sum()) < 250
    assert (random_batch(picture, mean, 50, False, generator)[:, 0, 0, 0] == 0.75).all()


def test_noise_levels_follow_the_plan_and_masks_only_the_conditional_part() -> None:
    plan = Plan(images=1, noise_mean=-1.0, noise_std=0.5, noise_tail=0.0, conditional=0.25)
    x0 = torch.zeros(8000, 1, 8, 8)
    s, noise, mask = random_corruption(x0, plan, torch.Generator().manual_seed(0))
    assert s.log().mean().item() == pytest.approx(-1.0, abs=0.03)
    assert s.log().std().item() == pytest.approx(0.5, abs=0.03)
    assert noise.shape == x0.shape and noise.std().item() == pytest.approx(1, abs=0.01)
    assert mask.flatten(1).any(1).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_tail_of_the_noise_levels_reaches_stage_1() -> None:
    plan = Plan(images=1, noise_mean=-10.0, noise_std=0.1, noise_tail=0.3)
    x0 = torch.zeros(8000, 1, 8, 8)
    s, _, _ = random_corruption(x0, plan, torch.Generator().manual_seed(0))
    tail = s[s >= 1]
    assert len(tail) / 8000 == pytest.approx(0.3, abs=0.03)
    assert tail.max() <= 40 and tail.log().mean().item() == pytest.approx(1.844, abs=0.1)


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


# ----------------------------------------------------------------------------------------------
# The command line


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "train-images-idx3-ubyte"
    path.write_bytes(idx(random_array(60, 28, 28)))
    return path


def command(*arguments: Any) -> list[str]:
    return [sys.executable, "train.py", *map(str, arguments)]


SMALL = ("--preset", "digits", "--channels", 8, 8, 8, "--rank", 4)
COMMON = ("--batch-size", 16, "--cpu", "--precision", "fp32")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def call(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def steps_in(folder: Path) -> int:
    _, metadata = checkpoints.load_tensors(folder / "training.safetensors")
    return json.loads(metadata["counters"])["step"]


def test_command_line_is_stopped_by_ctrl_c_resumes_and_adds_the_density_ratio(
    digits: Path, tmp_path: Path
) -> None:
    out, log = tmp_path / "digits", tmp_path / "log"
    score = ("score", "--data", digits, "--out", out, *SMALL, *COMMON)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(*score, "--images", 10**6), cwd=REPOSITORY, env=ENVIRONMENT, stderr=file
        )
        try:
            deadline = time.monotonic() + 60
            while b"loss" not in log.read_bytes() and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert "Traceback" not in log.read_text() and "is usable" in log.read_text()
    done = steps_in(out / "training")
    assert done > 0
    assert Bridge.from_pretrained(out, "cpu").generate(1, steps=2).result().isfinite().all()

    resumed = call(*score, "--images", 16 * (done + 2), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "held-out" in resumed.stdout + resumed.stderr
    assert steps_in(out / "training") == done + 2

    ratio = call("ratio", "--data", digits, "--out", out, "--images", 32, "--channels", 4, *COMMON)
    assert ratio.returncode == 0, ratio.stderr
    bridge = Bridge.from_pretrained(out, "cpu")
    assert bridge.name == "digits" and bridge.shape == (1, 28, 28) and bridge.has_density_ratio


def test_command_line_says_in_one_line_that_there_is_no_data(tmp_path: Path) -> None:
    done = call("score", "--data", tmp_path / "nothing", "--out", tmp_path / "out", *COMMON)
    assert done.returncode == 1
    assert done.stderr.strip() == f"error: no data at {tmp_path / 'nothing'}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "--images", "0"], "images must be positive"),
        (["score", "--max-minutes", "nan"], "max_minutes must be positive"),
        (["score", "--images", "9", "--lr", "0"], "learning_rate must be positive"),
        (["score", "--images", "9", "--ema", "0"], "ema must be positive"),
        (["score", "--images", "9", "--channels", "8", "8"], "same length"),
        (["score", "--images", "9", "--rank", "100000"], "rank must be in"),
        (["score", "--images", "9", "--limit", "1"], "at least 2 are needed"),
        (["score", "--images", "9", "--val", "nowhere"], "no data at nowhere"),
        (["ratio", "--images", "9"], "no config.json|no checkpoint folder|could not be fetched"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_1(
    arguments: list[str],
    message: str,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "out").mkdir()
    small = ["--preset", "digits"] if arguments[0] == "score" else []
    options = [*arguments, "--data", str(digits), "--out", str(tmp_path / "out"), "--cpu", *small]
    monkeypatch.setattr(sys, "argv", ["train.py", *options])
    handlers = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert train.main() == 1
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    assert re.search(message, lines[0]), lines[0]


def test_density_ratio_of_unmirrored_data_is_trained_unmirrored(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mirrored digits are no digits: `ratio` must follow what `score` did."""
    common = ["--data", str(digits), "--out", str(tmp_path), "--images", "16", "--cpu"]
    small = ["--preset", "digits", "--channels", "8", "8", "8", "--rank", "4"]
    run(train.make_trainer(train.parse_arguments(["score", *common, *small])))
    trainer = train.make_trainer(train.parse_arguments(["ratio", *common, "--channels", "4"]))
    assert trainer.plan.flip is False
