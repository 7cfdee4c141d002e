"""Checks give the value back, or one sentence that names argument, range and what was given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sbcore.runtime import checks

NOT_NUMBERS = [math.nan, math.inf, -math.inf, True, "three", None, [2], 1j]


def refused(call: Callable[[], Any], *words: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 150
    for word in words:
        assert word in text


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=str)
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    refused(lambda: checks.number("tau", value), "tau must be a finite number, got")
    refused(lambda: checks.whole("n", value), "n must be a whole number of at least 1, got")
    refused(lambda: checks.seed(value), "seed must be a whole number in [0, 2^53), got")
    refused(lambda: checks.seeds(1, value), "seed")
    refused(lambda: checks.seeds(value, 1), "n must be")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_its_range_comes_back(value: float) -> None:
    assert checks.number("x", value, value, value) == value
    refused(lambda: checks.number("x", value, above=value), "x must be a finite number >")


@given(st.integers(-1000, 1000))
def test_whole_numbers_come_back_whatever_their_type(value: int) -> None:
    for given_ in (value, float(value), np.int64(value), np.float32(value)):
        got = checks.whole("n", given_, least=-1000, most=1000)
        assert got == value and type(got) is int
    refused(lambda: checks.whole("n", value + 0.5, least=-2000), "n must be a whole number")
    refused(lambda: checks.whole("n", value, most=value - 1), "n must be a whole number in [1, ")


def test_ends_of_a_range_belong_to_it_and_are_named() -> None:
    assert checks.number("x", 0, 0, 1) == 0.0 and checks.number("x", 1, 0, 1) == 1.0
    refused(lambda: checks.number("x", 1.01, 0, 1), "x must be a finite number in [0, 1], got 1.01")
    refused(lambda: checks.number("x", 0, above=0), "x must be a finite number > 0, got 0")


def test_seeds_of_pictures_count_up() -> None:
    assert checks.seeds(3, 7) == [7, 8, 9]
    assert checks.seed(2**53 - 1) == 2**53 - 1
    refused(lambda: checks.seed(2**53), "seed")


@pytest.mark.parametrize("value", ["nosuch", "", None, 3, ["fast"]])
def test_a_choice_names_the_alternatives(value: Any) -> None:
    assert checks.choice("mode", "fast", ("fast", "paper")) == "fast"
    refused(
        lambda: checks.choice("mode", value, ("fast", "paper")),
        "mode must be one of fast, paper; got",
    )


def test_arrays_become_tensors() -> None:
    assert torch.equal(checks.array("a", [1, 2], dtype=torch.float32), torch.tensor([1.0, 2.0]))
    refused(lambda: checks.array("a", None), "a must be an array, got NoneType")
    refused(lambda: checks.array("a", "text"), "a must be an array, got str")
    refused(
        lambda: checks.array("a", [10**400], dtype=torch.float32), "a must be an array, got list"
    )


def test_long_values_are_cut() -> None:
    refused(lambda: checks.number("x", "9" * 10_000), "x must be")
    refused(lambda: checks.choice("x", "9" * 10_000, ("a",)), "x must be")
