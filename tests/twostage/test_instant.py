"""Instant mode: what least squares finds, what it is good for, and its file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sbcore import Bridge, CheckpointError
from sbcore.runtime.checkpoints import fingerprint, save_tensors
from sbcore.twostage.instant import FILE, LEVELS, LONGER, Rule, fit_rule, save_rule
from tests.conftest import SIGMA, TAU, TINY, save_tiny, tiny_denoiser

LINEAR = tiny_denoiser().linear


@pytest.fixture(scope="module")
def fitted() -> Bridge:
    bridge = Bridge(tiny_denoiser(), SIGMA, TAU, name="tiny", device="cpu")
    bridge.fit_rule(3, starts=64, trust=0)
    return bridge


def noise(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, *TINY.shape, generator=torch.Generator().manual_seed(seed))


def longer(bridge: Bridge, n: int, seed: int) -> Tensor:
    return bridge.generate(n, seed, solver="linear_exact_2", steps=LONGER).result()


def error(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().mean().sqrt())


def test_parts_add_up_each_scaled_along_its_components() -> None:
    parts, gains = [noise(2, 1), noise(2, 2)], torch.tensor([[1.0], [3.0]]).expand(2, TINY.rank)
    rest = torch.tensor([2.0, 0.5])
    flat = [part.flatten(1) for part in parts]
    along = [part @ LINEAR.basis.T @ LINEAR.basis for part in flat]
    expected = along[0] + 3 * along[1] + 2 * (flat[0] - along[0]) + (flat[1] - along[1]) / 2
    found = LINEAR.combine(parts, gains, rest).flatten(1)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(LINEAR.beyond(parts[0]).flatten(1), flat[0] - along[0])


@pytest.mark.parametrize("n", LEVELS)
def test_gaussian_data_are_met_exactly_at_any_number_of_evaluations(n: int) -> None:
    levels = [SIGMA * part for part in LEVELS[n]]
    start = LINEAR.sample(noise(64), SIGMA)
    targets = [LINEAR.flow(start, SIGMA, s) for s in (*levels[1:], 0.0)]
    rule = fit_rule(LINEAR.at, LINEAR, start, levels, targets, trust=0)
    new = LINEAR.sample(noise(8, 1), SIGMA)
    *_, last = rule.steps(LINEAR.at, new, LINEAR, SIGMA)
    torch.testing.assert_close(last.x, LINEAR.flow(new, SIGMA, 0.0), atol=1e-4, rtol=1e-3)
    assert (last.index, last.nfe.denoiser, last.s) == (n, n, 0)


def test_it_follows_the_longer_run_closer_than_a_solver_does(fitted: Bridge) -> None:
    wanted, seed = longer(fitted, 16, 5), 5
    instant = fitted.generate(16, seed, mode="instant").result()
    for name in ("linear_exact_2", "dpmpp_2m", "unipc"):
        solved = fitted.generate(16, seed, solver=name, steps=3).result()
        assert error(instant, wanted) < error(solved, wanted), name


def test_trust_moves_the_variances_from_those_of_the_runs_to_those_of_the_data() -> None:
    start = LINEAR.sample(noise(200), SIGMA)
    target = 0.5 * LINEAR.flow(start, SIGMA, 0.0)  # a quarter of the data's variance
    for trust in (0.0, 0.5, 1.0):
        rule = fit_rule(LINEAR.at, LINEAR, start, [SIGMA], [target], trust)
        *_, last = rule.steps(LINEAR.at, start, LINEAR, SIGMA)
        ratio = (last.x.flatten(1) @ LINEAR.basis.T).square().mean(0) / LINEAR.eigenvalues
        found = (target.flatten(1) @ LINEAR.basis.T).square().mean(0) / LINEAR.eigenvalues
        torch.testing.assert_close(ratio, found ** (1 - trust), atol=1e-3, rtol=1e-3)


def test_a_picture_of_a_seed_does_not_depend_on_its_company(fitted: Bridge) -> None:
    together = fitted.generate(3, 7, mode="instant").result()
    alone = fitted.generate(1, 8, mode="instant").result()
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=0)


def test_holes_are_filled_and_known_pixels_stay(fitted: Bridge) -> None:
    image, known = torch.rand(TINY.shape), torch.ones(16, 16)
    known[4:12, 5:13] = 0
    run = fitted.inpaint(image, known, 2, mode="instant")
    assert len(run) == 3
    fills = run.result()
    assert fills.shape == (2, *TINY.shape) and not torch.equal(fills[0], fills[1])
    kept = (known > 0).expand_as(fills)
    assert torch.equal(fills[kept], image.expand_as(fills)[kept])


def test_a_model_without_a_rule_takes_a_solver(bridge: Bridge) -> None:
    assert bridge.rule is None
    solved = bridge.generate(2, 3, solver="linear_exact_2", steps=3).result()
    assert torch.equal(bridge.generate(2, 3, mode="instant").result(), solved)


def test_edits_are_instant_too(bridge: Bridge) -> None:
    image, few = torch.rand(TINY.shape), {"solver": "linear_exact_2", "steps": 3}
    for edit in (
        lambda **how: bridge.interpolate(image, image.flip(-1), 3, **how),
        lambda **how: bridge.denoise(image, 0.4, 2, **how),
    ):
        assert torch.equal(edit(mode="instant").result(), edit(**few).result())


def test_what_has_no_instant_form_is_refused(bridge: Bridge) -> None:
    image = torch.rand(TINY.shape)
    with pytest.raises(ValueError, match="mode must be one of fast, paper; got 'instant'"):
        bridge.evolve(mode="instant")
    with pytest.raises(ValueError, match="mode must be fast for method 'inversion'"):
        bridge.interpolate(image, image, method="inversion", mode="instant")
    for method in ("algorithm2", "repaint"):
        with pytest.raises(ValueError, match=f"mode must be fast for method '{method}'"):
            bridge.inpaint(image, torch.zeros(16, 16), method=method, mode="instant")
    for arguments in ({"evaluations": 0}, {"evaluations": 9}, {"starts": 1}, {"trust": math.nan}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            bridge.fit_rule(**arguments)


# ---- the file


def test_a_saved_rule_draws_the_same(fitted: Bridge, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "tiny")
    bare = Bridge.from_pretrained(folder, "cpu")
    before = bare.fingerprint
    bare.fit_rule(2, starts=32)
    assert bare.fingerprint != before
    save_rule(folder, bare.rule, bare.denoiser)
    loaded = Bridge.from_pretrained(folder, "cpu")
    assert loaded.rule is not None and len(loaded.rule) == 2
    drawn = [bridge.generate(2, 1, mode="instant").result() for bridge in (bare, loaded)]
    assert torch.equal(*drawn)
    assert loaded.fingerprint == bare.fingerprint


def test_a_rule_of_earlier_weights_is_not_used(tmp_path: Path, caplog) -> None:
    folder = save_tiny(tmp_path / "tiny")
    rule = Rule(torch.tensor([SIGMA]), torch.ones(1, 2, TINY.rank), torch.ones(1, 2))
    save_rule(folder, rule, tiny_denoiser(seed=1))
    assert Bridge.from_pretrained(folder, "cpu").rule is None
    assert "was fitted to other weights: 'train.py instant' fits it anew" in caplog.text


@pytest.mark.parametrize(
    "damage",
    [
        {"levels": torch.zeros(0)},
        {"leading": torch.ones(1, 2, TINY.rank + 1)},
        {"rest": torch.full((1, 2), math.nan)},
        {"more": torch.ones(1)},
    ],
    ids=lambda damage: next(iter(damage)),
)
def test_a_damaged_rule_is_refused(damage: dict[str, Tensor], tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "tiny")
    sound = {"levels": torch.tensor([SIGMA]), "leading": torch.ones(1, 2, TINY.rank)}
    facts = {"model": fingerprint(Bridge.from_pretrained(folder).denoiser.state_dict())}
    save_tensors(folder / FILE, sound | {"rest": torch.ones(1, 2)} | damage, facts)
    with pytest.raises(CheckpointError, match="does not fit the components of its model"):
        Bridge.from_pretrained(folder, "cpu")
