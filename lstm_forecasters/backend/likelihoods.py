"""What the network's outputs mean: loss, parameters, quantiles, samples.

A likelihood turns raw outputs (..., K) and the reference path into parameters in
normalised units, scores them, and leads them back to the user's units. Its
``name`` is what users write.
"""

from __future__ import annotations

import math
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor
from torch.nn import functional

from lstm_forecasters.errors import ParameterError, ParameterTypeError, did_you_mean

__all__ = [
    "DEFAULT_QUANTILES",
    "LIKELIHOODS",
    "Likelihood",
    "NormalLikelihood",
    "PointLikelihood",
    "QuantileLikelihood",
    "StudentTLikelihood",
    "make_likelihood",
]

DEFAULT_QUANTILES = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
LEAST_SCALE = 1e-4
"""Least scale of a distribution, as a share of the window's scale."""


@runtime_checkable
class Likelihood(Protocol):
    """What training and forecasting need of a likelihood."""

    name: ClassVar[str | None]

    @property
    def n_parameters(self) -> int:
        """K, the number of outputs for every forecast value."""

    def parameters(self, raw: Tensor, path: Tensor) -> Tensor:
        """Return parameters (..., K) from raw outputs and the reference (...)."""

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return the loss (...) of targets (...)."""

    def restore(self, parameters: Tensor, center: Tensor, scale: Tensor) -> Tensor:
        """Return the parameters in the units that center and scale (...) lead to."""

    def widen(self, parameters: Tensor, factor: Tensor) -> Tensor:
        """Return the parameters with a spread that is a factor as wide."""

    def point(self, parameters: Tensor) -> Tensor:
        """Return the point forecasts (...), medians."""

    def quantiles(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """Return quantiles (..., A) at levels (A,) or (..., A)."""


class PointLikelihood:
    """Point forecasts only, trained on the absolute error: they aim at the median."""

    name: ClassVar[str | None] = None
    n_parameters = 1

    def parameters(self, raw: Tensor, path: Tensor) -> Tensor:
        """Return the location."""
        return raw + path[..., None]

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return the absolute error."""
        return (parameters[..., 0] - target).abs()

    def restore(self, parameters: Tensor, center: Tensor, scale: Tensor) -> Tensor:
        """Return the location in other units."""
        return parameters * scale[..., None] + center[..., None]

    def widen(self, parameters: Tensor, factor: Tensor) -> Tensor:
        """Return the location: a point has no spread."""
        return parameters

    def point(self, parameters: Tensor) -> Tensor:
        """Return the location."""
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """Refuse: a point has no quantiles."""
        raise ParameterError(
            "likelihood=None gives point forecasts only. For quantiles, intervals and "
            'distributions, train with likelihood="quantile", "normal" or "student_t".'
        )


class QuantileLikelihood:
    """Quantiles that never cross, trained on the pinball loss.

    The first output is the median, the others are the distances from one quantile
    to the next, outwards. Levels between the trained
    ones follow a straight line on normal probability paper, and so do the tails.

    Parameters
    ----------
    levels : sequence of float
        Trained levels, increasing, symmetric or not, with 0.5 among them.

    References
    ----------
    .. [1] Koenker, R. and Bassett, G. (1978). Regression quantiles. Econometrica
       46(1), 33-50.
    """

    name: ClassVar[str | None] = "quantile"

    def __init__(self, levels: tuple[float, ...] = DEFAULT_QUANTILES) -> None:
        self.levels = tuple(levels)
        self.n_below = below = self.levels.index(0.5)
        self._tilts = 2 * torch.tensor(self.levels) - 1
        self._signs = signs = torch.zeros(len(self.levels), len(self.levels))
        signs[0] = 1.0  # the median counts for every quantile
        for step in range(len(self.levels) - 1):
            if step < below:
                signs[1 + step, : below - step] = -1.0
            else:
                signs[1 + step, 1 + step :] = 1.0

    @property
    def n_parameters(self) -> int:
        """Number of trained levels."""
        return len(self.levels)

    def parameters(self, raw: Tensor, path: Tensor) -> Tensor:
        """Return the quantiles in increasing order."""
        median, steps = raw.split([1, self.n_parameters - 1], -1)
        parts = torch.cat([median, functional.softplus(steps)], -1)
        return parts @ self._signs.to(parts) + path[..., None]

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return twice the mean pinball loss: for the median, the absolute error."""
        error = target[..., None] - parameters
        return (error.abs() + self._tilts.to(error) * error).mean(-1)

    def restore(self, parameters: Tensor, center: Tensor, scale: Tensor) -> Tensor:
        """Return the quantiles in other units."""
        return parameters * scale[..., None] + center[..., None]

    def widen(self, parameters: Tensor, factor: Tensor) -> Tensor:
        """Return the quantiles at other distances from the median."""
        median = parameters[..., self.n_below, None]
        return median + (parameters - median) * factor

    def point(self, parameters: Tensor) -> Tensor:
        """Return the median."""
        return parameters[..., self.n_below]

    def quantiles(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """Interpolate between the trained levels on normal probability paper."""
        known = torch.special.ndtri(parameters.new_tensor(self.levels))
        wanted = torch.special.ndtri(levels.to(parameters))
        right = torch.searchsorted(known, wanted).clamp(1, len(known) - 1)
        share = (wanted - known[right - 1]) / (known[right] - known[right - 1])
        shape = (*parameters.shape[:-1], levels.shape[-1])
        right, share = right.expand(shape), share.expand(shape)
        low, high = parameters.gather(-1, right - 1), parameters.gather(-1, right)
        return low + share * (high - low)


class NormalLikelihood:
    """A normal distribution, trained on its negative log-likelihood."""

    name: ClassVar[str | None] = "normal"
    n_parameters = 2

    def parameters(self, raw: Tensor, path: Tensor) -> Tensor:
        """Return mean and standard deviation."""
        return torch.stack(
            [raw[..., 0] + path, functional.softplus(raw[..., 1]) + LEAST_SCALE], -1
        )

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return the negative log-likelihood."""
        mean, deviation = parameters.unbind(-1)
        score = (target - mean) / deviation
        return 0.5 * score.square() + deviation.log() + 0.5 * math.log(2 * math.pi)

    def restore(self, parameters: Tensor, center: Tensor, scale: Tensor) -> Tensor:
        """Return mean and standard deviation in other units."""
        mean, deviation = parameters.unbind(-1)
        return torch.stack([mean * scale + center, deviation * scale], -1)

    def widen(self, parameters: Tensor, factor: Tensor) -> Tensor:
        """Return mean and another standard deviation."""
        mean, deviation = parameters.unbind(-1)
        return torch.stack([mean, deviation * factor], -1)

    def point(self, parameters: Tensor) -> Tensor:
        """Return the mean, which is the median."""
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """Return the quantiles of the distribution."""
        mean, deviation = parameters[..., :1], parameters[..., 1:]
        return mean + deviation * torch.special.ndtri(levels.to(parameters))


class StudentTLikelihood:
    """Student's t distribution: heavier tails, for series with outliers.

    The degrees of freedom are learnt and stay above 2, where the variance exists.
    """

    name: ClassVar[str | None] = "student_t"
    n_parameters = 3

    def parameters(self, raw: Tensor, path: Tensor) -> Tensor:
        """Return location, scale and degrees of freedom."""
        return torch.stack(
            [
                raw[..., 0] + path,
                functional.softplus(raw[..., 1]) + LEAST_SCALE,
                2.1 + functional.softplus(raw[..., 2] + 5.0),
            ],
            -1,
        )

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return the negative log-likelihood."""
        location, scale, freedom = parameters.unbind(-1)
        score = (target - location) / scale
        return (
            0.5 * (freedom + 1) * torch.log1p(score.square() / freedom)
            + scale.log()
            + 0.5 * (freedom * math.pi).log()
            + torch.lgamma(0.5 * freedom)
            - torch.lgamma(0.5 * (freedom + 1))
        )

    def restore(self, parameters: Tensor, center: Tensor, scale: Tensor) -> Tensor:
        """Return location and scale in other units."""
        location, spread, freedom = parameters.unbind(-1)
        return torch.stack([location * scale + center, spread * scale, freedom], -1)

    def widen(self, parameters: Tensor, factor: Tensor) -> Tensor:
        """Return location, another scale, and degrees of freedom."""
        location, scale, freedom = parameters.unbind(-1)
        return torch.stack([location, scale * factor, freedom], -1)

    def point(self, parameters: Tensor) -> Tensor:
        """Return the location, which is mean and median."""
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """Return the quantiles of the distribution."""
        location, scale, freedom = (part[..., None] for part in parameters.unbind(-1))
        standard = stdtrit(
            freedom.double().cpu().numpy(), levels.double().cpu().numpy()
        )
        return location + scale * torch.from_numpy(np.asarray(standard)).to(parameters)


LIKELIHOODS = {
    likelihood.name: likelihood
    for likelihood in (
        PointLikelihood,
        QuantileLikelihood,
        NormalLikelihood,
        StudentTLikelihood,
    )
}


def make_likelihood(name: str | None) -> Likelihood:
    """Return the likelihood that a user named."""
    if name is not None and not isinstance(name, str):
        raise ParameterTypeError(
            f"likelihood must be None or a string, got {name!r} of type "
            f"{type(name).__name__}."
        )
    if name not in LIKELIHOODS:
        raise ParameterError(
            f"likelihood={name!r} is unknown.{did_you_mean(name, LIKELIHOODS)}"
        )
    return LIKELIHOODS[name]()
