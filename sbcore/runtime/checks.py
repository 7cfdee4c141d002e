"""Checks of what callers pass; every refusal is a ValueError that names the argument."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor


def seeds_from(n: int, seed: int) -> list[int]:
    """One seed a picture: seed, seed + 1, ...

    Raises:
        ValueError: If n is not a whole number >= 1, or seed not one in [0, 2^53).
    """
    n = count("n", n, 1)
    if not is_number(seed) or seed != int(seed) or not 0 <= seed < 2**53:
        raise ValueError(f"seed must be a whole number in [0, 2^53), got {seed}")
    return [int(seed) + i for i in range(n)]


def count(name: str, value: int | None, default: int, least: int = 1) -> int:
    """A whole number of at least ``least``; None means ``default``. Else a ValueError."""
    if value is None:
        return default
    if not is_number(value) or value != int(value) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value}")
    return int(value)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def tensor(name: str, value: Any, **options: Any) -> Tensor:
    """Anything like an array as a tensor; options as of `torch.as_tensor`. Else a ValueError."""
    try:
        return torch.as_tensor(value, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be an array, got {type(value).__name__}") from error


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that is not allowed, with a ValueError that names those that are."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
