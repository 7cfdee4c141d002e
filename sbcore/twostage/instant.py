"""Two evaluations or a few: multistep rules whose weights are least squares.

A multistep solver of the ODE that treats the linear part exactly only ever adds up the start and
what the network said beyond the Wiener filter, ``n_j = D(v_j, s_j) - W_{s_j} v_j``, each scaled
along each principal component:

    v_{i+1} = A_{i,0} v_1 + sum_{j <= i} A_{i,j} n_j

Its order says what the A are. Here they are those that come nearest, in the mean over many starts,
to the states of a run of many evaluations from the same starts: i + 1 unknowns a component, in
closed form. The network stays as it is.

Least squares loses contrast, a little more the fewer evaluations there are; so each component gets
its variance back: in between that of the longer run, at the end the geometric mean of that and of
the data's (`fit_rule`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from sbcore.runtime.checkpoints import CheckpointError, fingerprint, load_tensors, save_tensors
from sbcore.runtime.run import Evaluations, Step
from sbcore.twostage import process
from sbcore.twostage.denoiser import Denoiser
from sbcore.twostage.sampler import Denoise
from sbcore.twostage.wiener import WienerFilter

FILE = "instant.safetensors"
LEVELS = {  # as parts of sigma, by the number of evaluations
    1: (1.0,),
    2: (1.0, 0.18),
    3: (1.0, 0.25, 0.07),
    4: (1.0, 0.3, 0.13, 0.05),
}
FEW = 2  # more of them look the same, as `evaluate.py instant` shows
LONGER = 24  # evaluations of the run that a rule follows
TRUST = 0.5  # in the data's variances, at the end, against those of the longer run
RIDGE = 1e-6
logger = logging.getLogger(__name__)


class Rule(nn.Module):
    """A fitted multistep rule.

    Args:
        levels: s_1 > s_2 > ... > s_n > 0, where the network is evaluated, (n,).
        leading: A along the components, (n, n + 1, R); what a step does not have yet weighs 0.
        rest: A on their orthogonal complement, (n, n + 1).
    """

    levels: Tensor
    leading: Tensor
    rest: Tensor

    def __init__(self, levels: Tensor, leading: Tensor, rest: Tensor) -> None:
        super().__init__()
        for name, tensor in {"levels": levels, "leading": leading, "rest": rest}.items():
            self.register_buffer(name, tensor)

    def __len__(self) -> int:
        return len(self.levels)

    def steps(
        self, denoise: Denoise, v: Tensor, linear: WienerFilter, sigma: float
    ) -> Iterator[Step]:
        """Run it.

        Args:
            denoise: D(v, s).
            v: States at the first level, (b, ...).
            linear: The filter whose components they are.
            sigma: Standard deviation of the smoothing.

        Yields:
            One `Step` after each update.

        Cost: one denoiser evaluation a step.
        """
        levels, states, beliefs = self.levels.tolist(), [], []
        for i, s in enumerate(levels):
            denoised = denoise(v, s)
            states.append(v)
            beliefs.append(denoised)
            s_next, variances = (*levels, 0.0)[i + 1], self.levels[: i + 1] ** 2
            shares = linear.eigenvalues / (linear.eigenvalues + variances[:, None])
            leading = _expanded(self.leading[i, : i + 2], shares)
            rest = _expanded(self.rest[i, : i + 2], linear.rest / (linear.rest + variances))
            v = linear.combine([*states, *beliefs], leading, rest)
            time = process.stage2_time(s_next, sigma)
            yield Step(2, i + 1, len(levels), time, s_next, v, denoised, Evaluations(i + 1))


def _expanded(weights: Tensor, shares: Tensor) -> Tensor:
    """Weights of v_1 and of each D - W_s v, (k + 1, ...), as those of each v and of each D.

    So D - W_s v, four passes over the components, need not be formed.

    Args:
        weights: A.
        shares: W_s along the same components, (k, ...).
    """
    of_states = -weights[1:] * shares
    of_states[0] += weights[0]
    return torch.cat([of_states, weights[1:]])


def fit_rule(
    denoise: Denoise,
    linear: WienerFilter,
    v: Tensor,
    levels: Sequence[float],
    targets: Sequence[Tensor],
    trust: float = TRUST,
) -> Rule:
    """Fit a rule to the states of a longer run.

    Args:
        denoise: D(v, s).
        linear: Wiener filter of the denoiser.
        v: Its states at the first level, (N, ...).
        levels: Where the rule shall evaluate, falling.
        targets: Its states at the other levels, and at 0; each (N, ...).
        trust: Exponent of the data's variances at the end, in [0, 1]; the longer run's has the
            rest of 1.
    """
    n, said = len(levels), [v]
    leading, rest = v.new_zeros(n, n + 1, linear.rank), v.new_zeros(n, n + 1)
    for i, (s, target) in enumerate(zip(levels, targets, strict=True)):
        said.append(denoise(v, s) - linear.at(v, s))
        share = trust if i == n - 1 else 0.0
        leading[i, : i + 2], rest[i, : i + 2] = _least_squares(linear, said, target, share)
        v = linear.combine(said, leading[i, : i + 2], rest[i, : i + 2])
    return Rule(torch.tensor(levels), leading, rest)


def _least_squares(
    linear: WienerFilter, said: Sequence[Tensor], target: Tensor, trust: float
) -> tuple[Tensor, Tensor]:
    """Weights of each tensor along the components (k, R), and on their complement (k,)."""
    along = torch.stack([one.flatten(1) @ linear.basis.T for one in said], 2)  # (N, R, k)
    wanted = target.flatten(1) @ linear.basis.T
    leading = _regress(along.transpose(0, 1), wanted.T, linear.eigenvalues, trust)
    if linear.rank == linear.dim:
        return leading.T, target.new_zeros(len(said))
    beyond = [linear.beyond(one).flatten() for one in said]
    # Most of them have the variance `rest`, the rank of the basis has none.
    variance = linear.rest * (1 - linear.rank / linear.dim)
    wanted = linear.beyond(target).flatten()
    rest = _regress(torch.stack(beyond, 1)[None], wanted[None], variance[None], trust)
    return leading.T, rest[0]


def _regress(x: Tensor, y: Tensor, data: Tensor, trust: float) -> Tensor:
    """Least squares of y (m, N) on x (m, N, k), then the variance back; (m, k)."""
    gram = (x.mT.double() @ x.double()) / x.shape[1]
    # A hair of ridge: near s = 0 what the network said at two levels is nearly the same, and where
    # the data are Gaussian it says nothing.
    power = torch.diagonal(gram, dim1=1, dim2=2)
    ridge = RIDGE * (power + RIDGE * power.sum(1, keepdim=True))
    gram = gram + torch.diag_embed(ridge)
    right = (x.mT.double() @ y[..., None].double()) / x.shape[1]  # (m, k, 1)
    weights = torch.linalg.solve(gram, right)
    wanted = y.double().square().mean(1) ** (1 - trust) * data.double() ** trust
    found = (weights.mT @ gram @ weights)[:, 0, 0]
    return (weights[..., 0] * (wanted / found).sqrt()[:, None]).to(x)


# ----------------------------------------------------------------------------------------------
# Files


def save_rule(folder: Path, rule: Rule, denoiser: Denoiser) -> None:
    """Write ``instant.safetensors`` atomically, with the fingerprint of its denoiser."""
    save_tensors(folder / FILE, rule.state_dict(), {"model": fingerprint(denoiser.state_dict())})


def load_rule(folder: Path, denoiser: Denoiser) -> Rule | None:
    """The rule of a model folder; None if it has none, or only that of earlier weights.

    Raises:
        CheckpointError: If there is one and it does not fit the filter.
    """
    path = folder / FILE
    if not path.exists():
        return None
    tensors, facts = load_tensors(path)
    n = len(tensors.get("levels", ()))
    shapes = {"levels": (n,), "leading": (n, n + 1, denoiser.linear.rank), "rest": (n, n + 1)}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if n == 0 or found != shapes or not all(bool(t.isfinite().all()) for t in tensors.values()):
        raise CheckpointError(f"{path} does not fit the components of its model.")
    if facts.get("model") != fingerprint(denoiser.state_dict()):
        logger.warning("%s was fitted to other weights: 'train.py instant' fits it anew.", path)
        return None
    return Rule(**tensors)
