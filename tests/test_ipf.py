"""Half-bridges against closed forms; training to the end, by parts, and off a cliff."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sbcore import CheckpointError, DivergedError
from sbcore.data.sets import Ends, end_of_pictures, end_of_points
from sbcore.ipf.bridge import TranslationBridge
from sbcore.ipf.losses import bridge_loss, matching_loss, matching_targets
from sbcore.ipf.network import EndPoint, NetworkConfig, Pair
from sbcore.ipf.paths import euler_maruyama, walk
from sbcore.ipf.reference import DIRECTIONS, METHODS, gaussian_coupling, schedule
from sbcore.ipf.training import Fitter, Fitting
from tests.conftest import smooth_pictures

SIGMA = 1.5
FIRST, LAST = (0.5, 0.8), (-1.0, 2.0)  # mean and variance of two Gaussians on the line
NET = NetworkConfig((1,), width=16)


def noise(shape: tuple[int, ...], seed: int = 0) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, generator=generator)


def gaussian(name: str, mean: float, variance: float) -> Ends:
    def draw(n: int, generator: torch.Generator) -> Tensor:
        return mean + math.sqrt(variance) * torch.randn(n, 1, generator=generator)

    return Ends(name, draw)


def exact_coupling() -> float:
    """Covariance of the ends of the bridge on the line."""
    return math.sqrt(FIRST[1] * LAST[1] + SIGMA**4 / 4) - SIGMA**2 / 2


class Linear(EndPoint):
    """The exact network of the bridge between FIRST and LAST, times ``gain``; or backward."""

    def __init__(self, gain: float = 1.0, ends: tuple[Any, Any] = (FIRST, LAST)) -> None:
        super().__init__(nn.Identity(), (1,))
        self.gain, self.ends = gain, ends
        self.means.copy_(torch.tensor([[mean] for mean, _ in ends]))
        self.variances.copy_(torch.tensor([variance for _, variance in ends]))
        self.sigma.fill_(SIGMA)

    def residual(self, x: Tensor, r: Tensor) -> Tensor:
        (first, v), (last, w) = self.ends
        rest, c = r.reshape(-1, 1), exact_coupling()
        mean = rest * first + (1 - rest) * last
        variance = rest**2 * v + (1 - rest) ** 2 * w + rest * (1 - rest) * (2 * c + SIGMA**2)
        end = last + (rest * c + (1 - rest) * w) / variance * (x - mean)
        return self.gain * (end - x) / (rest.sqrt() * self.scale)


# ----------------------------------------------------------------------------------------------
# Schedule and closed forms


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("contrast", [1.0, 20.0])
def test_schedule_is_symmetric_for_any_number_of_steps(steps: int, contrast: float) -> None:
    parts = schedule(steps, contrast)
    assert len(parts) == steps
    assert parts == pytest.approx(parts[::-1])
    assert sum(parts) == pytest.approx(1)
    assert max(parts) <= contrast * min(parts) * (1 + 1e-9)
    if steps > 2:
        assert max(parts) == pytest.approx(contrast * min(parts))


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, None])
def test_schedule_refuses_what_is_no_number_of_steps(steps: Any) -> None:
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
        schedule(steps)


@pytest.mark.parametrize("contrast", [0.5, math.inf, math.nan])
def test_schedule_refuses_a_contrast_below_one(contrast: float) -> None:
    with pytest.raises(ValueError, match="contrast"):
        schedule(3, contrast)


@pytest.mark.parametrize("dim", [1, 4])
def test_coupling_of_gaussians_is_that_of_entropic_transport(dim: int) -> None:
    """Its density is a(x) b(y) exp(-|x - y|^2 / 2 sigma^2): the precision couples by -1/sigma^2."""
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(2, dim, dim, generator=generator, dtype=torch.double)
    s, t = roots @ roots.mT + 0.3 * torch.eye(dim)
    c = gaussian_coupling(s, t, SIGMA)
    joint = torch.cat([torch.cat([s, c], 1), torch.cat([c.T, t], 1)])
    precision = torch.linalg.inv(joint)
    assert torch.allclose(precision[:dim, dim:], -torch.eye(dim).double() / SIGMA**2, atol=1e-8)


def variance_errors(chain: Any, steps: int, contrast: float) -> list[float]:
    """Relative error of the variance after each step, exact: between Gaussians, a path is affine.

    Row 0 of the batch differs from the last one by its start, row k by the noise of step k.
    """
    rows = torch.eye(steps + 2)
    draws = iter(rows[1:])
    start = FIRST[0] + rows[0][:, None]
    errors, r = [], 1.0
    for moment in chain(
        Linear(), start, schedule(steps, contrast), SIGMA, lambda: next(draws)[:, None]
    ):
        r -= moment.h
        apart = (moment.x - moment.x[-1]).square()
        truth = r**2 * FIRST[1] + (1 - r) ** 2 * LAST[1]
        truth += r * (1 - r) * (2 * exact_coupling() + SIGMA**2)
        errors.append(float(FIRST[1] * apart[0] + apart[1:].sum()) / truth - 1)
    return errors


def test_steps_are_of_second_order_but_for_the_last() -> None:
    before_last = [abs(variance_errors(walk, n, 1.0)[-2]) for n in (20, 40, 80)]
    assert before_last[0] > 2.8 * before_last[1] > 2.8**2 * before_last[2]
    euler = [abs(variance_errors(euler_maruyama, n, 1.0)[-2]) for n in (20, 40)]
    assert euler[0] < 2.2 * euler[1] and euler[0] > 3 * before_last[0]


def test_a_small_last_step_ends_at_the_closed_form() -> None:
    small, even, euler = (
        abs(variance_errors(*run)[-1])
        for run in ((walk, 20, 10.0), (walk, 20, 1.0), (euler_maruyama, 20, 10.0))
    )
    assert small < 0.01 < min(even, euler)


def test_exact_network_walks_to_the_closed_form() -> None:
    n = 400_000
    start = FIRST[0] + math.sqrt(FIRST[1]) * noise((n, 1), 1)()
    *_, last = walk(Linear(), start, schedule(20, 10.0), SIGMA, noise((n, 1), 2))
    assert last.x.mean() == pytest.approx(LAST[0], abs=0.01)
    assert last.x.var() == pytest.approx(LAST[1], rel=0.01)
    coupling = ((start - start.mean()) * (last.x - last.x.mean())).mean()
    assert coupling == pytest.approx(exact_coupling(), rel=0.01)


def test_steps_of_second_order_reach_a_sharp_target() -> None:
    """From 0 to -1 or 1: the predicted end is tanh(x / (sigma^2 r)), and shall be -1 or 1."""

    def end(x: torch.Tensor, r: float) -> torch.Tensor:
        return torch.tanh(x / (SIGMA**2 * r))

    n = 100_000
    spread = []
    for steps in (walk, euler_maruyama):
        run = list(steps(end, torch.zeros(n, 1), schedule(15), SIGMA, noise((n, 1), 3)))
        spread.append(run[-2].x.var().item())
        r = run[-2].r
    truth = (1 - r) ** 2 + SIGMA**2 * r * (1 - r)
    assert spread[0] == pytest.approx(truth, rel=0.02)
    assert abs(spread[0] - truth) < abs(spread[1] - truth) / 2


def test_last_step_has_no_noise() -> None:
    x = torch.zeros(5, 1)
    *_, last = walk(Linear(), x, schedule(3), SIGMA, noise((5, 1)))
    assert last.r == 0
    assert torch.allclose(last.x, last.end, atol=1e-6)


# ----------------------------------------------------------------------------------------------
# Losses


def test_targets_are_those_of_equation_26() -> None:
    """The move from X_{k+1} is F_k(X_k) - F_k(X_{k+1}), also in the last step, which has noise."""
    end, parts, x = Linear(), schedule(5, 3.0), torch.linspace(-2, 2, 7)[:, None]
    states, moves = matching_targets(end, x, parts, SIGMA, noise((7, 1)))
    rest = [1.0, *(1 - total for total in itertools.accumulate(parts))]
    before = [x, *states.unbind(1)[:-1]]
    for k, (h, first, then) in enumerate(zip(parts, before, states.unbind(1), strict=True)):

        def mean(y: Tensor, h: float = h, r: float = rest[k]) -> Tensor:
            return y + h * end.drift(y, r)

        assert torch.allclose(moves[:, k], mean(first) - mean(then), atol=1e-5)
    again = noise((7, 1))
    assert torch.allclose(
        states[:, 0], x + parts[0] * end.drift(x, 1.0) + SIGMA * math.sqrt(parts[0]) * again()
    )


def test_targets_of_the_reversed_chain() -> None:
    """Its mean is that of the state before, which needs no second evaluation."""
    end, parts, x = Linear(), schedule(5, 3.0), torch.linspace(-2, 2, 7)[:, None]
    states, moves = matching_targets(end, x, parts, SIGMA, noise((7, 1)), printed=False)
    assert torch.allclose((states + moves)[:, 0], x, atol=1e-6)
    assert torch.allclose((states + moves)[:, 1:], states[:, :-1], atol=1e-6)


def test_first_half_bridge_learns_the_score_of_the_noised_data() -> None:
    """Of Gaussian data: the best move is -h sigma^2 (x - mean) / (v + noise variance)."""
    n, parts = 60_000, schedule(4)
    x = FIRST[0] + math.sqrt(FIRST[1]) * noise((n, 1), 3)()
    states, moves = matching_targets(None, x, parts, SIGMA, noise((n, 1), 4))
    for k, so_far in enumerate(itertools.accumulate(parts)):
        state, move = states[:, k, 0] - FIRST[0], moves[:, k, 0]
        slope = (state * move).mean() / state.square().mean()
        expected = -parts[k] * SIGMA**2 / (FIRST[1] + so_far * SIGMA**2)
        assert slope == pytest.approx(expected, rel=0.04)


def test_matching_loss_is_least_at_the_truth() -> None:
    """Backward paths of the exact bridge train the exact forward network."""
    n, parts = 30_000, schedule(60)

    class Reversed(Linear):
        def residual(self, x: Tensor, r: Tensor) -> Tensor:
            rest, c = r.reshape(-1, 1), exact_coupling()
            mean = rest * LAST[0] + (1 - rest) * FIRST[0]
            variance = rest**2 * LAST[1] + (1 - rest) ** 2 * FIRST[1]
            variance = variance + rest * (1 - rest) * (2 * c + SIGMA**2)
            end = FIRST[0] + (rest * c + (1 - rest) * FIRST[1]) / variance * (x - mean)
            return (end - x) / (rest.sqrt() * self.scale)

    start = LAST[0] + math.sqrt(LAST[1]) * noise((n, 1), 5)()
    states, moves = matching_targets(Reversed(), start, parts, SIGMA, noise((n, 1), 6))
    r = torch.tensor(parts).cumsum(0).clamp(max=1).repeat(n)
    h = torch.tensor(parts).repeat(n)
    losses = {
        gain: float(
            matching_loss(Linear(gain), states.flatten(0, 1), moves.flatten(0, 1), r, h, SIGMA)
        )
        for gain in (0.8, 1.0, 1.2)
    }
    assert min(losses, key=losses.get) == 1.0
    assert losses[1.0] == pytest.approx(1.0, abs=0.05)  # nothing is left but the step's noise


def test_bridge_loss_is_least_at_the_truth() -> None:
    n, c = 40_000, exact_coupling()
    first, second = noise((2, n, 1), 7)()
    start = FIRST[0] + math.sqrt(FIRST[1]) * first
    slope = c / FIRST[1]
    end = LAST[0] + slope * (start - FIRST[0]) + math.sqrt(LAST[1] - slope * c) * second
    r = torch.linspace(0.01, 1, n)
    losses = {
        gain: float(bridge_loss(Linear(gain), start, end, r, noise((n, 1), 8)(), SIGMA))
        for gain in (0.8, 1.0, 1.2)
    }
    assert min(losses, key=losses.get) == 1.0


# ----------------------------------------------------------------------------------------------
# Networks


@pytest.mark.parametrize(
    "config", [NetworkConfig((1,)), NetworkConfig((2,)), NetworkConfig((5,), width=8)]
)
def test_untrained_networks_are_the_reference(config: NetworkConfig) -> None:
    pair, x = Pair(config), noise((3, *config.shape))()
    assert torch.equal(pair["forward"](x, 0.7), x)


def test_network_of_pictures_is_the_reference_too() -> None:
    config = NetworkConfig((1, 8, 8), channels=(8,), blocks=(1,), attention=(False,))
    x = noise((2, 1, 8, 8))()
    assert torch.equal(Pair(config)["backward"](x, torch.tensor([0.2, 1.0])), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (1, 28)}, "shape"),
        ({"shape": (1, 28, 27)}, "squares"),
        ({"shape": (1, 30, 30)}, "divisible by 4"),
        ({"shape": (1, 28, 28), "channels": (12, 16)}, "multiples of 8"),
        ({"shape": (1, 28, 28), "channels": (16,)}, "same length"),
    ],
)
def test_networks_that_cannot_be_built(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**options)


# ----------------------------------------------------------------------------------------------
# Training


def fitter(folder: Path | None = None, *, resume: bool = False, **options: Any) -> Fitter:
    chosen = {"sigma": SIGMA, "steps": 5, "iterations": 2, "half_steps": 6, "batch_size": 32}
    chosen |= {"cache": 64, "refresh": 4, "evaluate": 50} | options
    sets = gaussian("first", *FIRST), gaussian("last", *LAST)
    return Fitter(*sets, NET, Fitting(**chosen), folder, resume=resume)


def finish(run: Fitter) -> Fitter:
    for _ in run:
        pass
    return run


def everything(run: Fitter) -> dict[str, Tensor]:
    """Averages, raw weights and moments."""
    found = dict(run.average.state_dict())
    found |= {f"raw.{name}": value for name, value in run.raw.state_dict().items()}
    for index, state in run.optimizer.state_dict()["state"].items():
        found |= {f"{index}.{name}": value for name, value in state.items()}
    return found


@pytest.mark.parametrize("method", METHODS)
def test_bridge_of_gaussians_is_learned(method: str) -> None:
    options = {"steps": 20, "contrast": 5.0, "half_steps": 120, "batch_size": 512}
    options |= {"learning_rate": 3e-3, "ema": 0.15, "cache": 2048, "refresh": 40}
    options |= {"iterations": {"dsb": 3, "dsbm": 2}[method]}  # fitting proportions takes longer
    run = finish(fitter(method=method, **options))
    n = 20_000
    start = run.ends["forward"].draw(n, torch.Generator().manual_seed(1))
    with torch.no_grad():
        *_, last = walk(run.average["forward"], start, run.parts, SIGMA, noise((n, 1), 9))
    assert last.x.mean() == pytest.approx(LAST[0], abs=0.15)
    assert last.x.var() == pytest.approx(LAST[1], rel=0.15)
    coupling = ((start - start.mean()) * (last.x - last.x.mean())).mean()
    assert coupling == pytest.approx(exact_coupling(), abs=0.15)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", [1, 3])
def test_one_step_and_odd_numbers_of_steps(method: str, steps: int) -> None:
    run = finish(fitter(method=method, steps=steps, half_steps=3))
    assert len(run.history) == 4
    assert all(math.isfinite(entry["score"]) for entry in run.history)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stop", [3, 9, 12])
def test_resume_equals_a_run_that_was_not_stopped(tmp_path: Path, method: str, stop: int) -> None:
    """In the middle of the first and of the second half-bridge, and where one has ended."""
    whole = finish(fitter(method=method))
    first = fitter(tmp_path, method=method)
    for _ in itertools.islice(first, stop):
        pass
    assert first.step == stop
    second = fitter(tmp_path, resume=True, method=method)
    assert (second.step, second.half) == (stop, first.half)
    finish(second)
    wanted, found = everything(whole), everything(second)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert second.history == whole.history


def test_a_run_stopped_while_it_measures_measures_when_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finish(fitter())

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Fitter, "diagnose", interrupted)
        finish(fitter(tmp_path))
    second = finish(fitter(tmp_path, resume=True))
    assert second.step == whole.step and second.history == whole.history
    wanted, found = everything(whole), everything(second)
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_resume_refuses_another_run(tmp_path: Path) -> None:
    finish(fitter(tmp_path, half_steps=1, iterations=1))
    with pytest.raises(CheckpointError, match="belongs to another run"):
        fitter(tmp_path, resume=True, half_steps=1, iterations=1, sigma=2.0)


def test_more_iterations_can_follow(tmp_path: Path) -> None:
    finish(fitter(tmp_path, half_steps=2, iterations=1))
    assert len(finish(fitter(tmp_path, resume=True, half_steps=2, iterations=2)).history) == 4


def test_time_budget_stops_and_saves(tmp_path: Path) -> None:
    run = finish(fitter(tmp_path, max_minutes=1e-9))
    assert run.step == 1 and not run.finished
    assert run.state_path.exists()
    bridge = TranslationBridge.from_pretrained(tmp_path, "cpu")  # untrained, but usable
    assert bridge.facts["training"]["half_bridges"] == 0
    assert bridge.translate(torch.zeros(3, 1)).result().isfinite().all()


def test_an_early_stop_keeps_the_model_that_is_there(tmp_path: Path) -> None:
    finish(fitter(tmp_path))
    finish(fitter(tmp_path, max_minutes=1e-9))
    bridge = TranslationBridge.from_pretrained(tmp_path, "cpu")
    assert bridge.facts["training"]["half_bridges"] == 4


def test_iterations_of_another_run_do_not_stay(tmp_path: Path) -> None:
    finish(fitter(tmp_path, iterations=3, half_steps=1))
    kept = tmp_path / "training"
    assert {path.name for path in kept.glob("iter*")} == {f"iteration-{k}" for k in (1, 2, 3)}
    finish(fitter(tmp_path, iterations=2, half_steps=1))
    assert {path.name for path in kept.glob("iter*")} == {"iteration-1", "iteration-2"}


@pytest.mark.parametrize("method", METHODS)
def test_run_that_diverges_stops_with_a_sentence(tmp_path: Path, method: str) -> None:
    run = fitter(tmp_path, method=method)
    for done in run:
        if done.evaluation:
            break
    good = TranslationBridge.from_pretrained(tmp_path, "cpu")
    with torch.no_grad():
        next(run.raw.parameters()).fill_(math.nan)
    with pytest.raises(DivergedError, match="the run diverged: the loss is nan in the forward"):
        finish(run)
    kept = TranslationBridge.from_pretrained(tmp_path, "cpu")
    x = noise((4, 1))()
    assert torch.equal(
        good.translate(x, "backward").result(), kept.translate(x, "backward").result()
    )
    assert kept.translate(x, "backward").result().isfinite().all()
    assert fitter(tmp_path, resume=True, method=method).half == 1


def test_paths_that_leave_every_bound_are_noticed() -> None:
    run = fitter(method="dsb")
    for done in run:
        if done.evaluation:
            break
    with torch.no_grad():
        run.average["backward"].trunk.linear.bias.fill_(1e6)
    with pytest.raises(DivergedError, match="a path"):
        finish(run)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_numbers_that_are_none_in_either_direction_are_noticed(
    tmp_path: Path, direction: str
) -> None:
    run = fitter(tmp_path)
    with torch.no_grad():
        run.average[direction].trunk.linear.bias.fill_(math.nan)
    assert math.isnan(run.diagnose(20)["score"])
    with pytest.raises(DivergedError) as caught:
        run._end_half()
    assert "keeps" not in str(caught.value)  # nothing was saved yet
    assert not (tmp_path / "config.json").exists()


def test_energies_of_a_bridge_differ_by_the_entropies() -> None:
    """KL(P | W from the source) + KL(source | Lebesgue) reads the same from the other end."""
    run = fitter(steps=100)
    run.average.forward_end, run.average.backward_end = Linear(), Linear(ends=(LAST, FIRST))
    found = run.diagnose(100_000)
    forward, backward = (found[direction] for direction in DIRECTIONS)
    entropies = 0.5 * math.log(FIRST[1] / LAST[1])
    wanted = 2 * SIGMA**2 * entropies
    assert forward["energy"] - backward["energy"] == pytest.approx(wanted, rel=0.03)
    assert forward["coupling"] == pytest.approx(backward["coupling"], rel=0.02)


def test_the_floor_of_a_small_set_is_that_of_its_halves() -> None:
    points = noise((400, 1))()
    small = Fitter(end_of_points("a", points), end_of_points("b", points), NET, Fitting())
    floors = [small.diagnose(400, seed)["forward"]["floor"] for seed in range(5)]
    drawn = fitter().diagnose(200)["backward"]["floor"]  # of 200 points of variance 1
    assert 0.3 * drawn < min(floors) and max(floors) < 4 * drawn


def test_progress_and_diagnostics() -> None:
    run = fitter()
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


def test_sets_of_different_shapes() -> None:
    sets = end_of_points("a", noise((9, 2))()), end_of_points("b", noise((9, 3))())
    with pytest.raises(ValueError, match="same shape"):
        Fitter(*sets, NetworkConfig((2,)), Fitting())


def test_network_of_another_shape() -> None:
    sets = end_of_points("a", noise((9, 2))()), end_of_points("b", noise((9, 2))())
    with pytest.raises(ValueError, match="network is for shape"):
        Fitter(*sets, NetworkConfig((3,)), Fitting())


def test_a_set_with_one_picture() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        end_of_pictures("lonely", smooth_pictures(1))


@pytest.mark.parametrize(
    "options",
    [{"width": 0}, {"patch": 0}, {"patch": -2}, {"blocks": (0, 2)}, {"channels": (12, 16)}],
)
@pytest.mark.parametrize("shape", [(2,), (1, 16, 16)])
def test_networks_that_are_none(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    if "channels" in options and len(shape) == 1:
        assert NetworkConfig(shape, **options)  # points have no use for them
        return
    with pytest.raises(ValueError, match=r"at least 1|multiples of 8"):
        NetworkConfig(shape, **options)


def test_a_folder_that_cannot_be_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        fitter(tmp_path / "file")


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.ones(5, 2), "one point only"),
        (torch.tensor([[math.nan, 0], [1, 2]]), "finite"),
        (torch.ones(4), "at least 2 points"),
        ("x", "must be an array"),
    ],
)
def test_sets_that_are_none(points: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        end_of_points("set", points)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "sinkhorn"},
        {"steps": 0},
        {"sigma": 0.0},
        {"sigma": math.nan},
        {"half_steps": 0},
        {"iterations": 1.5},
        {"learning_rate": -1.0},
        {"max_minutes": 0.0},
        {"seed": -1},
        {"evaluate": 1},
    ],
)
def test_plans_that_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Fitting(**options)
