"""Training of a bridge: against closed forms, to the end, by parts, and off a cliff."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from sbcore import BridgePlan, BridgeTrainer, CheckpointError, DivergedError
from sbcore.data.sets import end_of_pictures, end_of_points
from sbcore.ipf.bridge import TranslationBridge
from sbcore.ipf.network import NetworkConfig
from sbcore.ipf.paths import walk
from sbcore.ipf.reference import DIRECTIONS, METHODS
from tests.conftest import smooth_pictures
from tests.ipf.truth import FIRST, LAST, SIGMA, Linear, exact_coupling, gaussian, noise
from tests.runtime.test_trainer import assert_same_run

NET = NetworkConfig((1,), width=16)


def bridge(folder: Path | None = None, *, resume: bool = False, **options: Any) -> BridgeTrainer:
    chosen = {"sigma": SIGMA, "steps": 5, "iterations": 2, "half_steps": 6, "batch_size": 32}
    chosen |= {"cache": 64, "refresh": 4, "evaluate": 50} | options
    sets = gaussian("first", *FIRST), gaussian("last", *LAST)
    return BridgeTrainer(*sets, NET, BridgePlan(**chosen), folder, resume=resume)


def finish(run: BridgeTrainer) -> BridgeTrainer:
    for _ in run:
        pass
    return run


@pytest.mark.parametrize("method", METHODS)
def test_bridge_of_gaussians_is_learned(method: str) -> None:
    options = {"steps": 20, "contrast": 5.0, "half_steps": 120, "batch_size": 512}
    options |= {"learning_rate": 3e-3, "ema": 0.15, "cache": 2048, "refresh": 40}
    options |= {"iterations": {"dsb": 3, "dsbm": 2}[method]}  # fitting proportions takes longer
    run = finish(bridge(method=method, **options))
    n = 20_000
    start = run.ends["forward"].draw(n, torch.Generator().manual_seed(1))
    with torch.no_grad():
        *_, last = walk(run.average["forward"], start, run.parts, SIGMA, noise((n, 1), 9))
    assert last.x.mean() == pytest.approx(LAST[0], abs=0.15)
    assert last.x.var() == pytest.approx(LAST[1], rel=0.15)
    coupling = ((start - start.mean()) * (last.x - last.x.mean())).mean()
    assert coupling == pytest.approx(exact_coupling(), abs=0.15)


@pytest.mark.parametrize(("method", "steps"), [("dsb", 1), ("dsb", 3), ("dsbm", 1)])
def test_one_step_and_odd_numbers_of_steps(method: str, steps: int) -> None:
    run = finish(bridge(method=method, steps=steps, half_steps=3))
    assert len(run.history) == 4
    assert all(math.isfinite(entry["score"]) for entry in run.history)


@pytest.mark.parametrize(("method", "stop"), [("dsb", 3), ("dsbm", 9), ("dsb", 12)])
def test_resume_equals_a_run_that_was_not_stopped(tmp_path: Path, method: str, stop: int) -> None:
    """In the middle of the first and of the second half-bridge, and where one has ended."""
    whole = finish(bridge(method=method))
    first = bridge(tmp_path, method=method)
    for _ in itertools.islice(first, stop):
        pass
    assert first.step == stop
    second = bridge(tmp_path, resume=True, method=method)
    assert (second.step, second.half) == (stop, first.half)
    finish(second)
    assert_same_run(whole, second)
    assert second.history == whole.history


def test_a_run_stopped_while_it_measures_measures_when_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finish(bridge())

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(BridgeTrainer, "diagnose", interrupted)
        finish(bridge(tmp_path))
    second = finish(bridge(tmp_path, resume=True))
    assert second.step == whole.step and second.history == whole.history
    assert_same_run(whole, second)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 2.0}, r"another sigma \(1\.5, not 2\.0\)"),
        ({"seed": 1}, "another seed"),
        ({"method": "dsb"}, "another method"),
    ],
)
def test_resume_refuses_another_run(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    finish(bridge(tmp_path, half_steps=1, iterations=1))
    with pytest.raises(CheckpointError, match=message):
        bridge(tmp_path, resume=True, **{"half_steps": 1, "iterations": 1} | options)


def test_another_rate_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run that diverged goes on with a smaller one."""
    finish(bridge(tmp_path, half_steps=1, iterations=1))
    finish(bridge(tmp_path, resume=True, half_steps=1, iterations=2, learning_rate=1e-4))
    [record] = caplog.records
    assert "learning rate 0.0001 instead of 0.001" in record.getMessage()


def test_resume_refuses_other_pictures_of_the_same_name(tmp_path: Path) -> None:
    net = NetworkConfig((3, 16, 16), channels=(8,), blocks=(1,), attention=(False,))
    plan = BridgePlan(steps=2, half_steps=1, iterations=1, batch_size=2, cache=2, evaluate=2)
    first, second, other = (end_of_pictures("a", smooth_pictures(4, seed=s)) for s in range(3))
    finish(BridgeTrainer(first, second, net, plan, tmp_path))
    assert BridgeTrainer(first, second, net, plan, tmp_path, resume=True).finished
    with pytest.raises(CheckpointError, match="another data"):
        BridgeTrainer(first, other, net, plan, tmp_path, resume=True)


def test_more_iterations_can_follow(tmp_path: Path) -> None:
    finish(bridge(tmp_path, half_steps=2, iterations=1))
    assert len(finish(bridge(tmp_path, resume=True, half_steps=2, iterations=2)).history) == 4


def test_time_budget_stops_and_saves(tmp_path: Path) -> None:
    run = finish(bridge(tmp_path, max_minutes=1e-9))
    assert run.step == 1 and not run.finished
    assert run.state_path.exists()
    model = TranslationBridge.from_pretrained(tmp_path, "cpu")  # untrained, but usable
    assert model.facts["training"]["half_bridges"] == 0
    assert model.translate(torch.zeros(3, 1)).result().isfinite().all()


def test_an_early_stop_keeps_the_model_that_is_there(tmp_path: Path) -> None:
    finish(bridge(tmp_path))
    finish(bridge(tmp_path, max_minutes=1e-9))
    model = TranslationBridge.from_pretrained(tmp_path, "cpu")
    assert model.facts["training"]["half_bridges"] == 4


def test_iterations_of_another_run_do_not_stay(tmp_path: Path) -> None:
    finish(bridge(tmp_path, iterations=3, half_steps=1))
    kept = tmp_path / "training"
    assert {path.name for path in kept.glob("iter*")} == {f"iteration-{k}" for k in (1, 2, 3)}
    finish(bridge(tmp_path, iterations=2, half_steps=1))
    assert {path.name for path in kept.glob("iter*")} == {"iteration-1", "iteration-2"}


def test_run_that_diverges_stops_with_a_sentence(tmp_path: Path) -> None:
    run = bridge(tmp_path)
    for done in run:
        if done.evaluation:
            break
    good = TranslationBridge.from_pretrained(tmp_path, "cpu")
    with torch.no_grad():
        next(run.learner.raw.parameters()).fill_(math.nan)
    with pytest.raises(DivergedError, match="the run diverged: the loss is nan in the forward"):
        finish(run)
    kept = TranslationBridge.from_pretrained(tmp_path, "cpu")
    x = noise((4, 1))()
    assert torch.equal(
        good.translate(x, "backward").result(), kept.translate(x, "backward").result()
    )
    assert kept.translate(x, "backward").result().isfinite().all()
    assert bridge(tmp_path, resume=True).half == 1


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_numbers_that_are_none_in_either_direction_are_noticed(
    tmp_path: Path, direction: str
) -> None:
    run = bridge(tmp_path)
    with torch.no_grad():
        run.average[direction].trunk.linear.bias.fill_(math.nan)
    assert math.isnan(run.diagnose(20)["score"])
    with pytest.raises(DivergedError, match="a path is lost") as caught:
        finish(run)
    assert "training.safetensors keeps the last good state" in str(caught.value)
    assert bridge(tmp_path, resume=True).step == 0
    assert not (tmp_path / "config.json").exists()


def test_energies_of_a_bridge_differ_by_the_entropies() -> None:
    """KL(P | W from the source) + KL(source | Lebesgue) reads the same from the other end."""
    run = bridge(steps=40)
    run.average.forward_end, run.average.backward_end = Linear(), Linear(ends=(LAST, FIRST))
    found = run.diagnose(50_000)
    forward, backward = (found[direction] for direction in DIRECTIONS)
    entropies = 0.5 * math.log(FIRST[1] / LAST[1])
    wanted = 2 * SIGMA**2 * entropies
    assert forward["energy"] - backward["energy"] == pytest.approx(wanted, rel=0.03)
    assert forward["coupling"] == pytest.approx(backward["coupling"], rel=0.02)


def test_the_floor_of_a_small_set_is_that_of_its_halves() -> None:
    points = noise((400, 1))()
    small = BridgeTrainer(end_of_points("a", points), end_of_points("b", points), NET, BridgePlan())
    floors = [small.diagnose(400, seed)["forward"]["floor"] for seed in range(5)]
    drawn = bridge().diagnose(200)["backward"]["floor"]  # of 200 points of variance 1
    assert 0.3 * drawn < min(floors) and max(floors) < 4 * drawn


def test_progress_and_diagnostics() -> None:
    run = bridge()
    seen = list(run)
    assert [done.step for done in seen] == list(range(1, 25))
    assert seen[-1].fraction == 1
    trained = [done.evaluation["trained"] for done in seen if done.evaluation]
    assert trained == ["backward", "forward"] * 2
    last = run.history[-1]
    for direction in ("forward", "backward"):
        assert last[direction].keys() == {"distance", "floor", "energy", "move", "coupling"}
    assert run.history[0]["forward"]["energy"] == 0  # not trained yet: the reference


# ----------------------------------------------------------------------------------------------
# Bad input


def test_sets_and_networks_of_different_shapes() -> None:
    two, three = (end_of_points("a", noise((9, d))()) for d in (2, 3))
    with pytest.raises(ValueError, match="same shape"):
        BridgeTrainer(two, three, NetworkConfig((2,)), BridgePlan())
    with pytest.raises(ValueError, match="network is for shape"):
        BridgeTrainer(two, two, NetworkConfig((3,)), BridgePlan())


def test_a_folder_that_cannot_be_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        bridge(tmp_path / "file")


@pytest.mark.parametrize(
    "options",
    [
        {"method": "sinkhorn"},
        {"steps": 0},
        {"sigma": 0.0},
        {"half_steps": 0},
        {"iterations": 1.5},
        {"evaluate": 1},
        {"cache": 64.0},
    ],
)
def test_plans_that_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        BridgePlan(**options)
