"""Checks of what callers pass: the value comes back, or a ValueError that names the argument."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeGuard

import torch
from torch import Tensor

MOST_SEED = 2**53 - 1  # what JSON carries exactly


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def number(
    name: str,
    value: Any,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
) -> float:
    """A finite number in [least, most], or greater than ``above``."""
    if (
        not is_number(value)
        or (least is not None and value < least)
        or (most is not None and value > most)
        or (above is not None and value <= above)
    ):
        raise ValueError(
            f"{name} must be {_range('a finite number', least, most, above)}{_got(value)}"
        )
    return float(value)


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number in [least, most]."""
    if (
        not is_number(value)
        or value != int(value)
        or value < least
        or (most is not None and value > most)
    ):
        raise ValueError(f"{name} must be {_range('a whole number', least, most)}{_got(value)}")
    return int(value)


def _range(kind: str, least: float | None, most: float | None, above: float | None = None) -> str:
    if above is not None:
        return f"{kind} > {above:g}" + (f", at most {most:.10g}" if most is not None else "")
    if least is not None and most is not None:
        return f"{kind} in [{least:.10g}, {most:.10g}]"
    return kind if least is None else f"{kind} of at least {least:g}"


def _got(value: Any) -> str:
    return f", got {value!s:.40}"


def seed(value: Any) -> int:
    """The seed of a run."""
    if not is_number(value) or value != int(value) or not 0 <= value <= MOST_SEED:
        raise ValueError(f"seed must be a whole number in [0, 2^53){_got(value)}")
    return int(value)


def seeds(n: Any, first: Any) -> list[int]:
    """One seed for each of n pictures: first, first + 1, ..."""
    count, start = whole("n", n), seed(first)
    return [start + i for i in range(count)]


def choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    """One of the allowed names."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r:.60}")
    return value


def array(name: str, value: Any, **options: Any) -> Tensor:
    """Anything like an array as a tensor; options as of `torch.as_tensor`."""
    try:
        return torch.as_tensor(value, **options)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ValueError(f"{name} must be an array, got {type(value).__name__}") from error
