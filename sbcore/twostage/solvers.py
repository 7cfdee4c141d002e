"""Step rules for the reverse variance-exploding SDE, one pure function each.

Both bridges are this one SDE, from noise level s = infinity (the point mass) over s = sigma (the
smoothed density) to s = 0 (the data), so one solver on one grid of noise levels serves both.

Every rule maps (v, s, s_next, history, noise) to the state at ``s_next``:
    v: state at noise level s, any shape.
    history: what the network said so far, newest first; the first is at (v, s).
    noise: standard normal, shape of v; deterministic rules ignore it and may be given None.
Write D_i for the denoised pictures (0 the newest), s_i for their levels, rho = s_next / s and
h = ln(s / s_next). At s_next = 0 every rule returns D_0, but for Euler-Maruyama.

Numbers of the literature are for data of standard deviation 0.5; ours is about 0.25, so noise
levels quoted from there are halved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from torch import Tensor

from sbcore.twostage.wiener import WienerFilter


class Evaluation(NamedTuple):
    """One network evaluation."""

    s: float
    denoised: Tensor
    v: Tensor

    @property
    def slope(self) -> Tensor:
        """Derivative dv / ds of the probability flow: ``(v - D) / s``."""
        return (self.v - self.denoised) / self.s


History = Sequence[Evaluation]
StepRule = Callable[[Tensor, float, float, History, Tensor | None], Tensor]
MEMORY = 4  # evaluations that the longest rule looks back on


# One step at a time


def euler_maruyama(v: Tensor, s: float, s_next: float, history: History, noise: Tensor) -> Tensor:
    """Euler-Maruyama with linear variance, the paper's stage 2.

    ``v' = v + (s^2 - s'^2) (D - v) / s^2 + sqrt(s^2 - s'^2) noise``. Unlike the other rules it
    leaves noise in the last step, as Algorithm 1 does.
    """
    removed = s**2 - s_next**2
    return v + removed * (history[0].denoised - v) / s**2 + math.sqrt(removed) * noise


def exponential_sde(v: Tensor, s: float, s_next: float, history: History, noise: Tensor) -> Tensor:
    """Exponential integrator of the SDE, exact while D is constant (ancestral sampling).

    ``v' = rho^2 v + (1 - rho^2) D + s' sqrt(1 - rho^2) noise``
    """
    return _sde_step(v, s, s_next, history[0].denoised, noise)


def ddim(v: Tensor, s: float, s_next: float, history: History, noise: Tensor | None) -> Tensor:
    """Euler step of the probability-flow ODE: ``v' = D + rho (v - D)`` (Song et al. 2021)."""
    return _ode_step(v, s, s_next, history[0].denoised)


def _ode_step(v: Tensor, s: float, s_next: float, denoised: Tensor) -> Tensor:
    """The ODE, exact while D is constant."""
    return denoised + (s_next / s) * (v - denoised)


def _sde_step(v: Tensor, s: float, s_next: float, denoised: Tensor, noise: Tensor) -> Tensor:
    """The SDE, exact while D is constant."""
    keep = (s_next / s) ** 2
    return keep * v + (1 - keep) * denoised + s_next * math.sqrt(1 - keep) * noise


# Multistep: D is extrapolated from earlier evaluations


def dpmpp_2m(v: Tensor, s: float, s_next: float, history: History, noise: Tensor | None) -> Tensor:
    """DPM-Solver++(2M): the ODE with D extrapolated linearly in ln s (Lu et al. 2022).

    ``v' = rho v + (1 - rho) [(1 + 1/2r) D_0 - (1/2r) D_1]``, r = ln(s_1 / s) / h.
    """
    return _ode_step(v, s, s_next, _midpoint(s, s_next, history))


def dpmpp_2m_sde(v: Tensor, s: float, s_next: float, history: History, noise: Tensor) -> Tensor:
    """DPM-Solver++(2M) of the SDE, midpoint form.

    ``v' = rho^2 v + (1 - rho^2) [D_0 + (D_0 - D_1) / 2r] + s' sqrt(1 - rho^2) noise``
    """
    return _sde_step(v, s, s_next, _midpoint(s, s_next, history), noise)


def _midpoint(s: float, s_next: float, history: History) -> Tensor:
    """D in the middle of the step in ln s."""
    denoised = history[0].denoised
    if s_next == 0 or len(history) == 1:
        return denoised
    r = math.log(history[1].s / s) / math.log(s / s_next)
    return denoised + (denoised - history[1].denoised) / (2 * r)


def ipndm(v: Tensor, s: float, s_next: float, history: History, noise: Tensor | None) -> Tensor:
    """iPNDM: Adams-Bashforth of order 4 on the ODE, equal steps assumed (Zhang, Chen 2023).

    ``v' = v + (s' - s) (55 d_0 - 59 d_1 + 37 d_2 - 9 d_3) / 24``, d = (v - D) / s; lower orders
    while the history is short.
    """
    if s_next == 0:
        return history[0].denoised
    weights = ADAMS_BASHFORTH[min(len(history), 4)]
    slopes = (evaluation.slope for evaluation in history)
    return v + (s_next - s) * sum(w * d for w, d in zip(weights, slopes, strict=False))


ADAMS_BASHFORTH = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


# UniPC


def unipc(v: Tensor, s: float, s_next: float, history: History, noise: Tensor | None) -> Tensor:
    """UniPC-3: predictor and corrector that share their evaluations (Zhao et al. 2023, B_2).

    The corrector wants D at the end of its step, which is the evaluation of the next one; so
    each step first corrects the state that the last one predicted, then predicts.
    """
    if s_next == 0:
        return history[0].denoised
    if len(history) > 1:
        v = v + _unipc_change(s, history[1:], history[0]) - _unipc_change(s, history[1:])
    return _ode_step(v, s, s_next, history[0].denoised) + _unipc_change(s_next, history)


def _unipc_change(
    s_next: float, history: History, reached: Evaluation | None = None
) -> Tensor | float:
    """What the differences of D add to the first-order step from ``history[0]`` to ``s_next``.

    With ``reached``, the evaluation at ``s_next``, it is the corrector, else the predictor.
    """
    now, *earlier = history[:3]
    known = earlier if reached is None else [*earlier, reached]
    if not known:
        return 0.0
    h = math.log(now.s / s_next)
    positions = tuple(math.log(now.s / evaluation.s) / h for evaluation in known)
    total = sum(
        weight / position * (evaluation.denoised - now.denoised)
        for weight, position, evaluation in zip(
            _unipc_weights(h, positions), positions, known, strict=True
        )
    )
    return (1 - s_next / now.s) * total


@lru_cache(maxsize=1024)
def _unipc_weights(h: float, positions: tuple[float, ...]) -> tuple[float, ...]:
    """Weights of the divided differences, equation (5) of Zhao et al. with B = e^-h - 1."""
    if len(positions) == 1:
        return (0.5,)  # as the authors do, for predictor and corrector alike
    phi, factorial, right = math.expm1(-h) / -h - 1, 1, []
    for k in range(1, len(positions) + 1):
        right.append(phi * factorial / math.expm1(-h))
        factorial *= k + 1
        phi = phi / -h - 1 / factorial
    powers = np.vander(positions, increasing=True).T
    return tuple(float(weight) for weight in np.linalg.solve(powers, right))


# ER-SDE


def er_sde(v: Tensor, s: float, s_next: float, history: History, noise: Tensor) -> Tensor:
    """ER-SDE-3: third order in D, with less noise than the reverse SDE (Cui et al. 2023).

    ``v' = q v + (1 - q) D + a_1 D' + a_2 D'' + sqrt(s'^2 - q^2 s^2) noise`` with ``q = phi(s') /
    phi(s)`` and D', D'' divided differences in s.
    """
    denoised = history[0].denoised
    if s_next == 0:
        return denoised
    keep = _er_phi(s_next) / _er_phi(s)
    spread = math.sqrt(max(0.0, s_next**2 - (keep * s) ** 2))
    v = keep * v + (1 - keep) * denoised + spread * noise
    first, second = _er_weights(s, s_next)
    if len(history) > 1:
        slope = (denoised - history[1].denoised) / (s - history[1].s)
        v = v + first * slope
        if len(history) > 2:
            one, two = history[1:3]
            before = (one.denoised - two.denoised) / (one.s - two.s)
            v = v + second * 2 * (slope - before) / (s - two.s)
    return v


def _er_phi(s: float) -> float:
    """The authors' ``u (e^{u^0.3} + 10)`` at u = 2 s: it has no scale of its own, the data have."""
    return 2 * s * (math.exp((2 * s) ** 0.3) + 10)


@lru_cache(maxsize=1024)
def _er_weights(s: float, s_next: float) -> tuple[float, float]:
    """``a_k = (s' - s)^k / k! + phi(s') int_{s'}^{s} (u - s)^{k-1} / phi(u) du``, k = 1, 2."""
    nodes, weights = np.polynomial.legendre.leggauss(32)  # in ln u, where phi is smooth
    half = math.log(s / s_next) / 2
    levels = [s_next * math.exp(half * (1 + x)) for x in nodes]
    inverse = [w * half * u / _er_phi(u) for w, u in zip(weights, levels, strict=True)]
    first = sum(inverse)
    second = sum(i * (u - s) for i, u in zip(inverse, levels, strict=True))
    step, phi = s_next - s, _er_phi(s_next)
    return step + phi * float(first), step**2 / 2 + phi * float(second)


# Knowing the linear part


def linear_exact_2(
    v: Tensor,
    s: float,
    s_next: float,
    history: History,
    noise: Tensor | None,
    *,
    linear: WienerFilter,
) -> Tensor:
    """The ODE with its linear part integrated exactly, the rest to second order.

    Write ``D = W_s v + n``. Along a principal component of variance l, with ``theta(s) =
    arctan(s / sqrt(l))`` and ``f = n / sqrt(l s^2 / (l + s^2))``,
    ``v' = sqrt(l + s'^2) [v / sqrt(l + s^2) + f (theta(s) - theta(s'))]``, exact while f is
    constant, so in one step for Gaussian data; it stays finite at s' = 0, so that the last step
    is as good as the others.

    Like UniPC it first corrects the state that the last step predicted, with the mean of f at
    both ends of that step; then it predicts with n extrapolated to the middle of the step, as
    DPM-Solver++(2M) does with D. One evaluation a step.
    """
    rests = [e._replace(denoised=_residual(linear, e)) for e in history[:3]]
    rest = rests[0].denoised
    if len(rests) > 1:
        before = rests[1]
        ends = ((rest, s), (before.denoised, before.s))
        mean = sum(_turned(linear, n, at, before.s, s) for n, at in ends) / 2
        predicted = _midpoint(before.s, s, rests[1:])
        v = v + mean - _turned(linear, predicted, before.s, before.s, s)
    middle = _midpoint(s, s_next, rests)
    return linear.flow(v, s, s_next) + _turned(linear, middle, s, s, s_next)


def last_step(evaluation: Evaluation, linear: WienerFilter) -> Tensor:
    """From the last noise level to 0, whatever the solver: its linear part exactly.

    Returning D there throws the posterior variance away: on small components a fifth of the
    standard deviation.
    """
    v, s = evaluation.v, evaluation.s
    return linear.flow(v, s, 0.0) + _turned(linear, _residual(linear, evaluation), s, s, 0.0)


def first_step(x: Tensor, evaluation: Evaluation, linear: WienerFilter) -> Tensor:
    """From level 0 to that of an evaluation near the result: `last_step`, undone."""
    s = evaluation.s
    return linear.flow(x - _turned(linear, _residual(linear, evaluation), s, s, 0.0), 0.0, s)


def _residual(linear: WienerFilter, evaluation: Evaluation) -> Tensor:
    """``n = D - W_s v``, what the network knows beyond the covariance."""
    return evaluation.denoised - linear.at(evaluation.v, evaluation.s)


def _turned(linear: WienerFilter, rest: Tensor, at: float, s: float, s_next: float) -> Tensor:
    """What n, found at level ``at``, adds to the step from ``s`` to ``s_next`` of the linear part.

    ``sqrt(l + s'^2) (theta(s) - theta(s')) n / sqrt(l at^2 / (l + at^2))``
    """

    def gain(variance: Tensor) -> Tensor:
        root = variance.sqrt().clamp(min=1e-6)
        angle = ((s - s_next) * root / (variance + s * s_next)).arctan()  # theta(s) - theta(s')
        return ((variance + s_next**2) * (variance + at**2)).sqrt() / (root * at) * angle

    return linear.scale(rest, gain)


# The registry


@dataclass(frozen=True)
class Solver:
    """A step rule under the name that the literature uses."""

    name: str
    title: str
    step: Callable[..., Tensor]
    stochastic: bool = False
    knows_linear: bool = False
    """Whether its rule takes the Wiener filter of the denoiser."""

    def rule(self, linear: WienerFilter | None = None) -> StepRule:
        """The step rule, given the Wiener filter of the denoiser."""
        return partial(self.step, linear=linear) if self.knows_linear else self.step

    def levels(self, evaluations: int, grid: Callable[[int], list[float]]) -> list[float]:
        """Noise levels of a run.

        Args:
            evaluations: Network evaluations of the run, >= 1.
            grid: Maps a number of steps to falling noise levels, one more.

        Returns:
            ``evaluations + 1`` levels, the last of them 0.
        """
        return grid(evaluations)


SOLVERS = {
    solver.name: solver
    for solver in (
        Solver("dpmpp_2m_sde", "DPM-Solver++(2M), SDE", dpmpp_2m_sde, stochastic=True),
        Solver("er_sde", "ER-SDE-3", er_sde, stochastic=True),
        Solver("dpmpp_2m", "DPM-Solver++(2M), ODE", dpmpp_2m),
        Solver("unipc", "UniPC-3, ODE", unipc),
        Solver("ipndm", "iPNDM-4, ODE", ipndm),
        Solver(
            "linear_exact_2",
            "Exact linear part, second order, ODE",
            linear_exact_2,
            knows_linear=True,
        ),
        Solver("ddim", "DDIM (Euler), ODE", ddim),
        Solver("exponential_sde", "Exponential, SDE", exponential_sde, stochastic=True),
        Solver("euler_maruyama", "Euler-Maruyama, SDE", euler_maruyama, stochastic=True),
    )
}
