"""The training loop on a network of one layer: clock, stop, exact resume, what is published."""

from __future__ import annotations

import gc
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor, nn

from sbcore import CheckpointError, DivergedError
from sbcore.runtime import checkpoints
from sbcore.runtime.learner import Learner, Plan, WeightAverage
from sbcore.runtime.trainer import (
    PREVIOUS,
    STATE,
    NetworkPlan,
    NetworkTrainer,
    Progress,
    states,
)

SEARCHED = torch.linspace(-1, 1, 12).view(3, 4)
MUON = {"optimizer": "muon", "long_ema": 0.2}
Published = list[tuple[dict[str, Tensor], dict[str, Any]]]


def loss(network: nn.Module, generator: torch.Generator) -> Tensor:
    """Linear regression with dropout, on a batch of 8."""
    x = torch.randn(8, 4, generator=generator)
    return (network(nn.functional.dropout(x, 0.2)) - x @ SEARCHED.T).square().mean()


def error(network: nn.Module) -> dict[str, Any]:
    assert not network.training
    return {"score": float((network.weight - SEARCHED).square().mean())}


def toy(
    folder: Path,
    *,
    resume: bool = False,
    width: int = 4,
    data: str = "a",
    loss: Callable[[nn.Module, torch.Generator], Tensor] = loss,
    published: Published | None = None,
    **options: Any,
) -> NetworkTrainer:
    """A run of 6 steps, unless options say otherwise."""
    torch.manual_seed(0)
    plan = NetworkPlan(**{"images": 48, "batch_size": 8, "warmup_steps": 2} | options)

    def publish(network: nn.Module, facts: dict[str, Any]) -> None:
        weights = {name: value.clone() for name, value in network.state_dict().items()}
        (published if published is not None else []).append((weights, facts))

    return NetworkTrainer(
        nn.Linear(width, 3, bias=False), loss, error, publish, plan, folder,
        Accelerator(cpu=True), identity={"data": data, "network": {"width": width}}, resume=resume,
    )  # fmt: skip


def run(trainer: Any, steps: int | None = None) -> list[Progress]:
    """Train to the end, or leave the loop after ``steps`` more steps."""
    found = []
    for progress in trainer:
        found.append(progress)
        if len(found) == steps:
            break
    return found


def everything(trainer: Any) -> dict[str, Tensor]:
    """Weights, averages and moments by name."""
    networks = trainer.networks | {"model": trainer.learner.raw}
    found = {f"{n}.{k}": v for n, net in networks.items() for k, v in net.state_dict().items()}
    return found | trainer.learner.moments()


def assert_same_run(one: Any, other: Any) -> None:
    """Bit for bit."""
    expected, found = everything(one), everything(other)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert (one.step, one.images, one.loss) == (other.step, other.images, other.loss)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that pass at each look at the clock; two looks a step."""
    passing, now = [0.5], [0.0]

    def monotonic() -> float:
        now[0] += passing[0]
        return now[0]

    monkeypatch.setattr("sbcore.runtime.trainer.time.monotonic", monotonic)
    return passing


# ----------------------------------------------------------------------------------------------
# Averages and steps


def test_average_forgets_half_in_its_part_of_the_run() -> None:
    network = nn.Linear(1, 1)
    average = WeightAverage(network, 0.1)
    with torch.no_grad():
        network.weight.fill_(0.0)
        average.network.weight.fill_(1.0)
        for step in range(1001, 1111):  # 10 % more: one half-life
            average.follow(network, step)
    assert average.network.weight.item() == pytest.approx(0.5, rel=0.05)


def test_average_into_a_network_moves_that_network() -> None:
    network, holder = nn.Linear(2, 1), nn.Linear(2, 1)
    WeightAverage(network, 1e-9, into=holder).follow(network, 1)
    assert torch.equal(holder.weight, network.weight)


def test_no_average_builds_a_graph(tmp_path: Path) -> None:
    trainer = toy(tmp_path, **MUON)
    run(trainer)
    assert set(trainer.networks) == {"average", "long"}
    for network in trainer.networks.values():
        assert all(p.grad_fn is None and not p.requires_grad for p in network.parameters())


def test_memory_of_training_is_flat(tmp_path: Path) -> None:
    """As many tensors after the last step as after the fiftieth."""
    trainer, counts = toy(tmp_path, images=8 * 250, long_ema=0.2), []
    for progress in trainer:
        if progress.step in (50, 249):
            gc.collect()
            counts.append(sum(issubclass(type(each), Tensor) for each in gc.get_objects()))
    assert counts[-1] <= counts[0]


def test_learning_rate_warms_up_holds_and_falls() -> None:
    plan = NetworkPlan(images=800, decay=0.5)
    rates = [plan.rate(step / 100) for step in range(100)]
    assert rates[:50] == [1.0] * 50
    assert rates[75] == pytest.approx(0.5, abs=0.01) and 0 < rates[99] < 0.03
    assert {NetworkPlan(open_ended=True).rate(f) for f in (0.0, 0.5)} == {1.0}
    assert NetworkPlan(finish=9).rate(0.25) == 0.75
    network = nn.Linear(1, 1)
    learner = Learner(network, Plan(warmup_steps=4, learning_rate=2.0), Accelerator(cpu=True), [])
    seen = []
    for _ in range(6):
        learner.step(network.weight.square().sum(), 0.5)
        seen.append(learner.optimizer.param_groups[0]["lr"])
    assert seen == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


# ----------------------------------------------------------------------------------------------
# A run


def test_a_run_learns_counts_up_to_its_plan_and_publishes_its_average(tmp_path: Path) -> None:
    published: Published = []
    trainer = toy(tmp_path, images=8 * 200, learning_rate=0.02, published=published)
    before = error(trainer.networks["average"])["score"]
    progress = run(trainer)
    assert [p.step for p in progress] == list(range(1, 201))
    assert [p.images for p in progress] == list(range(8, 1601, 8))
    assert progress[-1].fraction == 1 and progress[99].fraction == 0.5
    assert progress[-1].seconds_left == 0 and progress[0].seconds_left > 0
    assert all(p.images_per_second > 0 for p in progress)
    assert progress[-1].loss < progress[0].loss
    assert [p for p in progress if p.evaluation] == progress[-1:]
    [(weights, facts)] = published
    assert torch.equal(weights["weight"], trainer.networks["average"].weight)
    assert not torch.equal(weights["weight"], trainer.learner.raw.weight)
    assert facts["images"] == 1600 and facts["plan"]["batch_size"] == 8
    assert facts["score"] == progress[-1].evaluation["score"] < 0.1 * before
    assert trainer.history == [{"images": 1600, "score": facts["score"]}]


def test_only_a_better_average_is_published(tmp_path: Path, clock: list[float]) -> None:
    published: Published = []
    trainer = toy(tmp_path, published=published, evaluate_minutes=0.4 / 60, images=10**6)
    scores = iter([3.0, 2.0, 2.5, 1.0])
    trainer.evaluate = lambda network: {"score": next(scores)}
    run(trainer, 4)
    assert [facts["score"] for _, facts in published] == [3.0, 2.0, 1.0]


def test_the_better_of_two_averages_is_published(tmp_path: Path) -> None:
    published: Published = []
    trainer = toy(tmp_path, published=published, **MUON)
    long = trainer.networks["long"]
    trainer.evaluate = lambda network: {"score": 1.0 if network is long else 2.0}
    evaluation = run(trainer)[-1].evaluation
    assert evaluation == {"score": 1.0, "by_average": {"average": 2.0, "long": 1.0}}
    assert torch.equal(published[-1][0]["weight"], long.weight)


def test_seeds_differ(tmp_path: Path) -> None:
    first, again, other = (
        [p.loss for p in toy(tmp_path / str(i), seed=seed)] for i, seed in enumerate((0, 0, 1))
    )
    assert first == again != other


# ----------------------------------------------------------------------------------------------
# Exact resume


@pytest.mark.parametrize("options", [{}, MUON], ids=["adam", "muon and two averages"])
def test_resumed_run_equals_an_uninterrupted_one(options: dict[str, Any], tmp_path: Path) -> None:
    whole = toy(tmp_path / "whole", **options)
    run(whole)
    run(toy(tmp_path / "parts", **options), 3)
    torch.manual_seed(12345)  # whatever the new process did with the global stream
    resumed = toy(tmp_path / "parts", resume=True, **options)
    assert (resumed.step, resumed.images) == (3, 24)
    run(resumed, 2)  # in the decay of the learning rate
    resumed = toy(tmp_path / "parts", resume=True, **options)
    assert [p.step for p in run(resumed)] == [6]
    assert_same_run(whole, resumed)


def test_without_resume_or_without_a_state_a_run_starts_anew(tmp_path: Path) -> None:
    assert toy(tmp_path, resume=True).step == 0
    run(toy(tmp_path), 3)
    assert toy(tmp_path).step == 0


def test_finished_run_has_nothing_to_resume_and_can_be_lengthened(tmp_path: Path) -> None:
    first = toy(tmp_path)
    run(first)
    resumed = toy(tmp_path, resume=True)
    assert resumed.finished and run(resumed) == []
    longer = toy(tmp_path, resume=True, images=64)
    assert (longer.best, longer.history) == (first.best, first.history)
    assert [p.step for p in run(longer)] == [7, 8]


def test_a_second_average_may_join_later(tmp_path: Path) -> None:
    run(toy(tmp_path), 3)
    joined = toy(tmp_path, resume=True, long_ema=0.2)
    assert torch.equal(joined.networks["long"].weight, joined.networks["average"].weight)
    assert len(run(joined)) == 3


def test_state_of_before_the_run_was_named_in_it_is_resumed(tmp_path: Path) -> None:
    """Counters without the run, the loss, the learner's steps; a state without a long average."""
    first = toy(tmp_path, images=None, open_ended=True, **MUON)
    run(first, 4)
    tensors = {name: value.clone() for name, value in everything(first).items()}
    names = ("step", "images", "seconds", "best", "history", "branched")
    counters = {name: getattr(first, name) for name in names}
    old = {
        k if "." in k and not k[0].isdigit() else f"optimizer.{k}": v for k, v in tensors.items()
    }
    assert {name.split(".")[0] for name in old} == {"model", "average", "long", "optimizer"}
    (tmp_path / "old").mkdir()
    save_file(old, tmp_path / "old" / STATE, {"counters": json.dumps(counters)})
    resumed = toy(tmp_path / "old", resume=True, images=None, open_ended=True, **MUON)
    assert {name: getattr(resumed, name) for name in names} == counters
    assert math.isnan(resumed.loss)
    found = everything(resumed)
    assert all(torch.equal(value, found[name]) for name, value in tensors.items())
    run(first, 2)
    run(resumed, 2)
    resumed.loss = first.loss  # the mean begins anew
    assert_same_run(first, resumed)


@pytest.mark.parametrize("left", [0, 100, -1])
def test_truncated_state_is_noticed(left: int, tmp_path: Path) -> None:
    run(toy(tmp_path), 1)
    (tmp_path / PREVIOUS).unlink()
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:left])
    with pytest.raises(CheckpointError, match=r"^.*training\.safetensors is truncated.*\.$"):
        toy(tmp_path, resume=True)


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    """In the header, in the counters and in the tensors."""
    whole = toy(tmp_path)
    run(whole, 2)
    (tmp_path / PREVIOUS).unlink()
    content, noticed = (tmp_path / STATE).read_bytes(), 0
    places = range(3, len(content), len(content) // 97)
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        (tmp_path / STATE).write_bytes(changed)
        try:
            assert_same_run(whole, toy(tmp_path, resume=True))
        except CheckpointError as error:
            assert str(tmp_path / STATE) in str(error) and "\n" not in str(error)
            noticed += 1
    assert noticed > 0.9 * len(places)


def lose(path: Path) -> None:
    """As a kill between the two renames of a write leaves it."""
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [lose, cut, flip])
def test_the_state_before_a_damaged_one_is_resumed(
    damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = toy(tmp_path / "whole")
    run(whole)
    folder = tmp_path / "parts"
    run(toy(folder, save_minutes=1e-9), 3)
    damage(folder / STATE)
    resumed = toy(folder, resume=True)
    [record] = caplog.records
    assert resumed.step < 4 and "goes on from" in record.getMessage()
    assert f"previous.safetensors, step {resumed.step}." in record.getMessage()
    run(resumed, 1)
    assert toy(folder, resume=True).step == resumed.step  # sound again
    assert len(caplog.records) == 1
    run(toy(folder, resume=True))
    assert_same_run(whole, toy(folder, resume=True))


def test_two_damaged_states_are_a_sentence_and_stay(tmp_path: Path) -> None:
    run(toy(tmp_path), 2)
    for path in states(tmp_path):
        flip(path)
    before = [path.read_bytes() for path in states(tmp_path)]
    assert len(before) == 2
    with pytest.raises(CheckpointError, match="is damaged: its checksum does not fit"):
        toy(tmp_path, resume=True)
    assert [path.read_bytes() for path in states(tmp_path)] == before


def test_a_new_run_keeps_no_state_of_the_one_that_it_replaces(tmp_path: Path) -> None:
    run(toy(tmp_path), 3)
    assert len(states(tmp_path)) == 2
    begun = iter(toy(tmp_path, save_minutes=1e9))
    next(begun)
    assert [path.name for path in states(tmp_path)] == [STATE]
    assert toy(tmp_path, resume=True).step == 0


@pytest.mark.parametrize("metadata", [{}, {"counters": "nonsense"}, {"counters": "[]"}])
def test_foreign_file_is_refused(metadata: dict[str, str], tmp_path: Path) -> None:
    checkpoints.save_tensors(tmp_path / STATE, {"weights": torch.ones(2)}, metadata)
    with pytest.raises(CheckpointError, match=r"is not a training state; choose another --out\.$"):
        toy(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 5}, "another network;"),
        ({"optimizer": "muon"}, r"another optimizer \(adam, not muon\)"),
        ({"seed": 1}, r"another seed \(0, not 1\)"),
        ({"batch_size": 4}, r"another batch size \(8, not 4\)"),
        ({"data": "b"}, r"another data \(a, not b\)"),
    ],
)
def test_state_of_another_run_is_refused_and_kept(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    run(toy(tmp_path), 3)
    before = (tmp_path / STATE).read_bytes()
    with pytest.raises(CheckpointError, match=message):
        toy(tmp_path, resume=True, **options)
    assert (tmp_path / STATE).read_bytes() == before


@pytest.mark.parametrize("change", [None, "many", [1]], ids=["missing", "text", "a list"])
@pytest.mark.parametrize("name", ["step", "images", "seconds", "history", "best", "branched"])
def test_a_state_without_a_counter_is_a_sentence(name: str, change: Any, tmp_path: Path) -> None:
    if name == "history" and change == [1]:
        change = {"a": "dictionary"}
    run(toy(tmp_path), 1)
    (tmp_path / PREVIOUS).unlink()
    tensors, metadata = checkpoints.load_tensors(tmp_path / STATE)
    counters = json.loads(metadata["counters"]) | {name: change}
    if change is None:
        del counters[name]
    checkpoints.save_tensors(tmp_path / STATE, tensors, {"counters": json.dumps(counters)})
    with pytest.raises(CheckpointError, match=r"is not a training state; choose another --out\.$"):
        toy(tmp_path, resume=True)


def test_moments_of_no_weight_are_those_of_another_run(tmp_path: Path) -> None:
    run(toy(tmp_path), 1)
    tensors, metadata = checkpoints.load_tensors(tmp_path / STATE)
    for index in ("7", "x"):
        odd = tensors | {f"optimizer.{index}.exp_avg": torch.ones(2)}
        facts = {"counters": metadata["counters"]}
        checkpoints.save_tensors(tmp_path / STATE, odd, facts)
        with pytest.raises(CheckpointError, match="another optimizer"):
            toy(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, None),
        ({"max_minutes": 9, "save_minutes": 3, "evaluate_minutes": 7}, None),
        ({"learning_rate": 1e-3}, "The run goes on with learning rate 0.001 instead of 0.0005."),
        (
            {"images": 96, "ema": 0.1},
            "The run goes on with ema 0.1 instead of 0.05, images 96 instead of 48.",
        ),
        ({"finish": 8, "images": None}, None),  # a branch has a length of its own
        ({"finish": 8, "images": None, "decay": 0.5}, "The run goes on with decay 0.5 instead of"),
    ],
    ids=str,
)
def test_what_a_resumed_run_changes_is_said(
    options: dict[str, Any], sentence: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(toy(tmp_path / "training"), 2)
    toy(tmp_path / "training", resume=True, **options)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (sentence is not None)
    assert all(sentence in line for line in said)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"width": 5}, "another network"), ({"optimizer": "muon"}, "another optimizer")],
)
def test_state_that_names_no_run_is_known_by_its_shapes(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    run(toy(tmp_path), 3)
    tensors, metadata = checkpoints.load_tensors(tmp_path / STATE)
    counters = json.loads(metadata["counters"])
    del counters["run"]
    checkpoints.save_tensors(tmp_path / STATE, tensors, {"counters": json.dumps(counters)})
    with pytest.raises(CheckpointError, match=message):
        toy(tmp_path, resume=True, **options)


# ----------------------------------------------------------------------------------------------
# A branch


def test_a_branch_leaves_the_trunk_alone(tmp_path: Path) -> None:
    folder, published = tmp_path / "training", []
    trunk = toy(folder, images=None, open_ended=True)
    run(trunk, 4)
    before = (folder / STATE).read_bytes()
    branch = toy(folder, images=None, finish=24, published=published)
    assert branch.images == trunk.images
    progress = run(branch)
    assert [p.fraction for p in progress] == pytest.approx([1 / 3, 2 / 3, 1])
    assert branch.images == trunk.images + 24 and len(published) == 1
    assert (folder / STATE).read_bytes() == before


def test_a_branch_resumes_where_it_stood(tmp_path: Path) -> None:
    folder = tmp_path / "training"
    run(toy(folder, images=None, open_ended=True), 4)
    whole = toy(folder, images=None, finish=40)
    run(whole)
    run(toy(folder, images=None, finish=40), 2)
    resumed = toy(folder, images=None, finish=40, resume=True)
    assert resumed.fraction == 0.4
    run(resumed)
    assert_same_run(whole, resumed)


def test_nothing_to_finish_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no run to finish"):
        toy(tmp_path, images=None, finish=24)


# ----------------------------------------------------------------------------------------------
# Clock


def test_time_alone_is_the_length_over_all_calls(tmp_path: Path, clock: list[float]) -> None:
    """A step takes a second, and the last of 99.25 seconds is in the hundredth."""

    def rates(trainer: NetworkTrainer, steps: int | None = None) -> list[float]:
        found = []
        for progress in trainer:
            found.append(trainer.learner.optimizer.param_groups[0]["lr"])
            assert progress.seconds_left == max(0, 99.25 - trainer.seconds)
            if len(found) == steps:
                break
        return found

    options = {"images": None, "max_minutes": 99.25 / 60}
    whole = toy(tmp_path / "whole", **options)
    expected = rates(whole)
    first = rates(toy(tmp_path / "parts", **options), 80)
    resumed = toy(tmp_path / "parts", resume=True, **options)
    assert resumed.seconds == 80
    second = rates(resumed)
    assert first + second == expected and len(expected) == 100
    assert expected[70] > expected[80] > expected[99] > 0
    assert_same_run(whole, resumed)
    assert toy(tmp_path / "parts", resume=True, **options).finished


def test_time_beside_a_length_bounds_each_call(tmp_path: Path, clock: list[float]) -> None:
    options = {"images": 8 * 100, "max_minutes": 29.25 / 60}
    first = toy(tmp_path, **options)
    assert len(run(first)) == 30 and first.fraction == 0.3 and first.history
    assert len(run(toy(tmp_path, resume=True, **options))) == 30


def test_evaluations_and_writes_are_due_by_the_clock(tmp_path: Path, clock: list[float]) -> None:
    trainer = toy(tmp_path, images=8 * 20, evaluate_minutes=4.4 / 60)
    progress = run(trainer)
    assert [p.step for p in progress if p.evaluation] == [5, 10, 15, 20]
    assert [entry["images"] for entry in trainer.history] == [40, 80, 120, 160]


# ----------------------------------------------------------------------------------------------
# Ways of stopping


def test_an_exception_in_the_loop_body_saves_and_publishes(tmp_path: Path) -> None:
    published: Published = []
    with pytest.raises(KeyboardInterrupt):
        for progress in toy(tmp_path, published=published):
            if progress.step == 2:
                raise KeyboardInterrupt
    assert toy(tmp_path, resume=True).step == 2 and len(published) == 1


def test_ctrl_c_inside_a_step_saves_the_steps_before_it(tmp_path: Path) -> None:
    whole = toy(tmp_path / "whole")
    run(whole)
    calls = iter([False, False, False, True])

    def interrupted(network: nn.Module, generator: torch.Generator) -> Tensor:
        if next(calls):
            raise KeyboardInterrupt
        return loss(network, generator)

    with pytest.raises(KeyboardInterrupt):
        run(toy(tmp_path / "parts", loss=interrupted))
    resumed = toy(tmp_path / "parts", resume=True)
    assert resumed.step == 3
    run(resumed)
    assert_same_run(whole, resumed)


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_nan_stops_the_run_and_keeps_the_last_good_state(kind: str, tmp_path: Path) -> None:
    steps = iter(range(10))

    def poisoned(network: nn.Module, generator: torch.Generator) -> Tensor:
        value = loss(network, generator)
        if next(steps) == 3:  # sqrt at 0 has the value 0 and the gradient 0 * inf = NaN
            spoilt = (0 * network.weight[0, 0]).abs().sqrt()
            value = value + (spoilt if kind == "gradient" else torch.nan)
        return value

    trainer = toy(tmp_path, loss=poisoned, save_minutes=1e-9)  # saves at every step
    message = rf"the {kind} is nan at step 3; .* keeps the last good state"
    with pytest.raises(DivergedError, match=message):
        run(trainer)
    assert trainer.learner.raw.weight.isfinite().all()
    resumed = toy(tmp_path, resume=True)
    assert resumed.step == 3
    assert all(value.isfinite().all() for value in everything(resumed).values())


def seldom(trainer: NetworkTrainer) -> NetworkTrainer:
    """As on a GPU: losses and clock are looked at once in 50 steps."""
    trainer.learner.interval = 50
    return trainer


@pytest.mark.parametrize("steps", [7, 50, 120])
def test_losses_that_are_read_together_have_the_same_mean(steps: int, tmp_path: Path) -> None:
    each = toy(tmp_path / "each", images=8 * steps)
    together = seldom(toy(tmp_path / "together", images=8 * steps))
    means, found = ([p.loss for p in run(one)] for one in (each, together))
    assert_same_run(each, together)
    assert each.history == together.history
    read = [0, *range(49, steps, 50), steps - 1]  # the first, for people, and at the end
    assert [found[i] for i in read] == [means[i] for i in read]
    assert len(set(found)) == len(set(read))


def test_a_run_that_reads_seldom_is_left_and_resumed_at_any_step(tmp_path: Path) -> None:
    whole = toy(tmp_path / "whole", images=8 * 60)
    run(whole)
    run(seldom(toy(tmp_path / "parts", images=8 * 60)), 37)
    resumed = seldom(toy(tmp_path / "parts", images=8 * 60, resume=True))
    assert resumed.step == 37
    run(resumed)
    assert_same_run(whole, resumed)


@pytest.mark.parametrize("end", ["the next look", "the loop is left"])
@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_what_diverged_between_looks_is_not_saved(kind: str, end: str, tmp_path: Path) -> None:
    steps = iter(range(200))

    def poisoned(network: nn.Module, generator: torch.Generator) -> Tensor:
        value = loss(network, generator)
        if next(steps) == 56:
            spoilt = (0 * network.weight[0, 0]).abs().sqrt()
            value = value + (spoilt if kind == "gradient" else torch.nan)
        return value

    published: Published = []
    options = {"images": 8 * 200, "save_minutes": 1e-9, "loss": poisoned, "published": published}
    begun: Any = iter(seldom(toy(tmp_path, **options)))
    for _ in range(60):
        next(begun)
    with pytest.raises(DivergedError, match=r"the (loss|gradient) is nan at step"):
        begun.close() if end == "the loop is left" else list(begun)
    resumed = toy(tmp_path, resume=True, images=8 * 200)
    assert resumed.step == 50 and not published
    assert all(value.isfinite().all() for value in everything(resumed).values())


def test_time_is_looked_at_with_the_losses(tmp_path: Path, clock: list[float]) -> None:
    trainer = seldom(toy(tmp_path, images=8 * 400, max_minutes=29.25 / 60))
    clock[0] = 10.0  # at each look
    assert len(run(trainer)) == 50


def test_full_disk_stops_the_run_with_the_system_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first step, if it is full already."""

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    def never(*arguments: Any) -> Tensor:
        raise AssertionError("a step was made")

    trainer = toy(tmp_path, loss=never)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left.*training\.safetensors'$"):
        run(trainer)
    assert not list(tmp_path.rglob("*.safetensors*"))


# ----------------------------------------------------------------------------------------------
# Plans


WHOLE = ["images", "finish", "batch_size", "warmup_steps"]
POSITIVE = ["max_minutes", "learning_rate", "ema", "long_ema", "decay"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({name: 0}, f"{name} must be a whole number") for name in WHOLE),
        *(({name: 64.0}, f"{name} must be a whole number") for name in WHOLE),
        *(({name: 0}, f"{name} must be a finite number > 0") for name in POSITIVE),
        ({"images": None}, "images or max_minutes"),
        ({"optimizer": "sgd"}, "optimizer must be one of muon, adam"),
    ],
    ids=str,
)
def test_bad_plans_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkPlan(**{"images": 9} | options)
