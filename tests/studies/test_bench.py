"""Speed: ratios of one run, on a model whose cost is known."""

from __future__ import annotations

import pytest
import torch

from sbcore import Bridge
from studies import bench
from studies.report import silent
from tests.studies.conftest import Command


def test_bench_states_ratios_and_whether_the_budgets_are_kept(run: Command) -> None:
    status, found = run("bench", "tiny", "--quick")
    assert status == 0
    budgets = {row["what"].split(",")[0]: row for row in found["Budgets"]}
    assert budgets["fast default"]["measured"] > 10
    for row in found["Budgets"]:
        bound = float(row["budget"].split()[-1])
        holds = row["measured"] <= bound if "most" in row["budget"] else row["measured"] >= bound
        assert row["kept"] == ("yes" if holds else "no")
    rates = found["Pictures a second, default quality"]
    assert [row["batch"] for row in rates] == [1, 2] and all(row["float32"] > 0 for row in rates)
    assert all(row["ms"] > 0 and row["GFLOP"] > 0 for row in found["One evaluation"])
    assert all(row["pictures a second"] > 0 for row in found["Training"])
    memory = [row["MB"] for row in found["Peak memory"]]
    assert memory == sorted(memory) and memory[0] > 50


def test_overhead_of_an_engine_that_does_twice_the_work_is_a_hundred_percent(
    bridge: Bridge,
) -> None:
    calls = 0

    def half(v: torch.Tensor, s: float) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return bridge.posterior_mean(v, s) if calls % 2 else v

    assert 1.5 < bench.overhead(bridge, half, 9, silent) < 4


def test_paper_mode_is_extrapolated_to_a_thousand_steps(bridge: Bridge, monkeypatch) -> None:
    monkeypatch.setattr(bench, "seconds_of", lambda work: (work(), 2.0)[1])
    fast, paper = bench.end_to_end(bridge, 5, silent)
    assert fast == 2.0 and paper == 400.0


def test_a_share_of_the_peak_counts_what_a_picture_costs_and_what_it_takes(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one second each: 8 pictures are 8 times the operations, so 8 times the share."""
    monkeypatch.setattr(bench, "seconds_of", lambda work: (work(), 1.0)[1])
    one, many = bench.shares({"float32": bridge}, (1, 8), silent).rows
    peak = bench.convolution_peak(torch.float32, bridge.device)
    assert one[2] == 1e3 and one[4] == pytest.approx(100e9 * one[3] / peak)
    assert many[3] == pytest.approx(8 * one[3]) and many[4] == pytest.approx(8 * one[4])
