"""Runs of several threads share the calls of a network: larger batches, more pictures a second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Network = Callable[..., Tensor]


@dataclass(eq=False)
class _Call:
    network: Network
    v: Tensor
    s: Tensor
    conditions: tuple[Tensor, ...]
    options: dict[str, Any]
    outcome: Tensor | Exception | None = None

    @property
    def kind(self) -> tuple[Any, ...]:
        """What calls have in common that can be one."""
        shapes = tuple(tuple(one.shape[1:]) for one in (self.v, *self.conditions))
        return id(self.network), shapes, self.v.device, tuple(sorted(self.options.items()))


class Gathering:
    """Lets the members that are at work at the same time call a network at once.

    A call waits until every member has made one, or is through; who is no member, or the only one,
    does not wait. Each picture is computed as it would be alone, but for the last bits of its
    numbers, which depend on the size of the batch.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._members = 0
        self._asked: list[_Call] = []
        self._here = threading.local()

    @contextmanager
    def member(self) -> Iterator[None]:
        """What this thread calls in here may be shared."""
        with self._changed:
            self._members += 1
        self._here.member = True
        try:
            yield
        finally:
            self._here.member = False
            with self._changed:
                self._members -= 1
                self._changed.notify_all()

    def call(
        self, network: Network, v: Tensor, s: float, *conditions: Tensor, **options: Any
    ) -> Tensor:
        """``network(v, s, *conditions, **options)``.

        Args:
            network: Takes the noise level as (b,).
            v: Noisy pictures, (b, ...).
            s: Their noise level.
            conditions: Further tensors, (b, ...).
            options: The same for all pictures.
        """
        if self._members < 2 or not getattr(self._here, "member", False):
            return network(v, s, *conditions, **options)
        call = _Call(network, v, v.new_full((len(v),), s), conditions, options)
        with self._changed:
            self._asked.append(call)
            self._changed.notify_all()
            while call.outcome is None and not self._all_have_asked(call):
                self._changed.wait()
            together, self._asked = (self._asked, []) if call.outcome is None else ([], self._asked)
        _answer(together)
        with self._changed:
            self._changed.notify_all()
        if isinstance(call.outcome, Exception):
            raise call.outcome
        assert call.outcome is not None
        return call.outcome

    def _all_have_asked(self, call: _Call) -> bool:
        return call in self._asked and len(self._asked) >= self._members


def _answer(calls: list[_Call]) -> None:
    """Make calls of a kind as one."""
    for kind in {call.kind for call in calls}:
        alike = [call for call in calls if call.kind == kind]
        try:
            columns = zip(*((call.v, call.s, *call.conditions) for call in alike), strict=True)
            found = alike[0].network(*map(torch.cat, columns), **alike[0].options)
            for call, part in zip(alike, found.split([len(c.v) for c in alike]), strict=True):
                call.outcome = part
        except Exception as error:
            for call in alike:
                call.outcome = error


GATHERING = Gathering()
