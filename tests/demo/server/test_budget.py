"""What runs may cost, and what is said where it is too much."""

from __future__ import annotations

import pytest

from demo.models import Models
from demo.page import TABS
from demo.server import budget
from demo.server.budget import Budget, Pace
from demo.tabs import evolution, generate, inpaint, interpolate, translate


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    return now


def test_a_machine_of_ones_own_has_no_limit(clock):
    own = Budget()
    for _ in range(3):
        own.spend(10**9, "one")
    own.check_seconds(1e9)


def test_a_run_that_is_too_large_is_refused_and_costs_nothing(clock):
    small = Budget(run=100, visitor=100, all=100)
    with pytest.raises(ValueError, match=r"take 1,000 evaluations, more than the 100 "):
        small.spend(1000, "one")
    small.spend(100, "one")


def test_a_visitor_has_an_allowance_that_comes_back(clock):
    small = Budget(visitor=100, all=1000)
    small.spend(80, "one")
    with pytest.raises(ValueError, match=r"used your 100 evaluations .* come back in 18 min\."):
        small.spend(50, "one")
    small.spend(50, "another")
    clock[0] += 1800
    small.spend(50, "one")
    with pytest.raises(ValueError, match="used your"):
        small.spend(30, "one")


def test_all_visitors_together_have_one(clock):
    small = Budget(visitor=100, all=150)
    small.spend(100, "one")
    with pytest.raises(ValueError, match="The studio has used its 150"):
        small.spend(60, "two")
    small.spend(50, "two")


def test_a_run_may_not_compute_for_ever():
    with pytest.raises(ValueError, match="may compute for 5 min here"):
        Budget(seconds=300).check_seconds(301)


def test_the_price_is_learned_from_the_last_runs():
    pace = Pace()
    assert pace.price("generate", 40) == "next: 40 evaluations"
    pace.learn("generate", 10, 1.0)
    assert pace.price("generate", 40) == "next: about 4 s, 40 evaluations"
    pace.learn("generate", 10, 3.0)
    assert pace.price("generate", 2000) == "next: about 7 min, 2,000 evaluations"
    assert pace.price("inpaint", 1) == "next: 1 evaluation"


@pytest.mark.parametrize(
    ("operation", "values", "cost"),
    [
        (generate.OPERATION, {"count": 4, "steps": None, "mode": "fast"}, 40),
        (generate.OPERATION, {"count": 4, "steps": 7, "mode": "fast"}, 28),
        (generate.OPERATION, {"count": 16, "steps": None, "mode": "paper"}, 64_016),
        (evolution.OPERATION, {"mode": "paper"}, 4001),
        (interpolate.OPERATION, {"frames": 9, "steps": 5, "mode": "fast"}, 45),
        (inpaint.OPERATION, {"count": 2, "steps": None, "method": "side by side"}, 60),
        (inpaint.OPERATION, {"count": 2, "steps": None, "method": "algorithm2"}, 2002),
        (inpaint.OPERATION, {"count": 2, "method": "conditional", "mode": "instant"}, 6),
        (generate.OPERATION, {"count": 4, "steps": 7, "mode": "instant"}, 12),
    ],
)
def test_costs(operation, values, cost):
    assert operation.price_of({"steps": None, "mode": "fast"} | values) == cost


@pytest.mark.parametrize("name", sorted(TABS))
def test_what_evaluates_a_network_of_pictures_has_a_cost(name):
    operation = getattr(TABS[name], "OPERATION", None)
    if operation is not None and operation.name != "toy":
        assert set(operation.priced) <= {param.name for param in operation.params}
        assert operation.priced


def test_costs_are_those_of_the_run(checkpoints):
    """What is charged is what the engine says it has done."""
    model = Models(checkpoints).get("tiny")
    modes = ({"mode": "paper", "steps": 3}, {"mode": "instant", "count": 2, "steps": 9})
    for given in ({"count": 3}, {"count": 2, "steps": 4}, *modes):
        result = generate.OPERATION.result(model=model, **given)
        values = {p.name: p.default for p in generate.OPERATION.params} | given
        cost = generate.OPERATION.price_of(values)
        assert cost == result.report.nfe * values["count"]


def test_over_the_budget_nothing_is_computed(checkpoints, monkeypatch):
    monkeypatch.setattr("demo.operation.BUDGET", Budget(run=5))
    models = Models(checkpoints)
    assert translate.OPERATION.cost
    with pytest.raises(ValueError, match="more than the 5 evaluations"):
        next(generate.OPERATION.start(models, {"count": 1}))
    *_, result = generate.OPERATION.start(models, {"count": 1, "steps": 3})
    assert len(result.shown) == 1
