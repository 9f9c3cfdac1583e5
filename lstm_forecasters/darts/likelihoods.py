"""darts' likelihoods in the backend's protocol, and the backend's in darts' words.

Users name a likelihood by a word or pass one of darts' objects, and darts reads that
object's names. The network's outputs are given their meaning here: where the backend
has the same likelihood, by the backend's; else by an adapter around darts' own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from darts.utils.likelihood_models import torch as darts_likelihoods
from darts.utils.likelihood_models.torch import (
    GaussianLikelihood,
    QuantileRegression,
    TorchLikelihood,
)
from scipy import stats
from torch import Tensor
from torch.distributions import kl_divergence

from lstm_forecasters.backend.likelihoods import (
    DEFAULT_QUANTILES,
    LIKELIHOODS,
    Likelihood,
    NormalLikelihood,
    PointLikelihood,
    QuantileLikelihood,
)
from lstm_forecasters.backend.likelihoods import (
    StudentTLikelihood as BackendStudentT,
)
from lstm_forecasters.darts.loading import TrainingBatch
from lstm_forecasters.errors import (
    DataError,
    ParameterError,
    ParameterTypeError,
    did_you_mean,
)

__all__ = [
    "DartsLikelihood",
    "StudentTLikelihood",
    "backend_likelihood",
    "darts_likelihood",
    "mean_loss",
]


class StudentTLikelihood(TorchLikelihood):
    """Student's t distribution: heavier tails, for series with outliers.

    Its parameters are the location mu, the scale sigma and the degrees of freedom nu,
    which stay above 2. darts has no such likelihood; this one serves the models of
    this package only.
    """

    def __init__(self) -> None:
        super().__init__(likelihood_type=None, parameter_names=["mu", "sigma", "nu"])

    def _params_from_output(self, model_output: Tensor) -> tuple[Tensor, ...]:
        """Return location, scale and degrees of freedom."""
        return tuple(model_output.unbind(-1))

    def _distr_from_params(
        self, params: tuple[Tensor, ...]
    ) -> torch.distributions.Distribution:
        """Return the distribution."""
        location, scale, freedom = params
        return torch.distributions.StudentT(freedom, location, scale)

    def sample(self, model_output: Tensor) -> Tensor:
        """Return one sample for each set of parameters."""
        params = self._params_from_output(model_output)
        sample: Tensor = self._distr_from_params(params).sample()
        return sample


@dataclass(frozen=True)
class _Kind:
    """How the outputs of a network become a darts likelihood's parameters.

    ``located`` likelihoods have a location and a scale, and are trained in normalised
    units. The others are scored in the user's units; where ``counts``, the location of
    the window enters their mean. ``quantiles`` maps parameters and levels to values.
    """

    quantiles: Callable[..., Any]
    located: bool = False
    counts: bool = False


def _continuous_bernoulli(levels: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return quantiles of the continuous Bernoulli distribution, NaN where p is."""
    logits = torch.from_numpy(np.asarray(p)).logit()  # of which torch checks nothing
    given = torch.distributions.ContinuousBernoulli(logits=logits, validate_args=False)
    values = given.icdf(torch.from_numpy(levels)).numpy()
    return np.where(np.isnan(p), np.nan, values)


KINDS: dict[str, _Kind] = {
    "Gaussian": _Kind(lambda u, mu, sigma: stats.norm.ppf(u, mu, sigma), located=True),
    "Laplace": _Kind(lambda u, mu, b: stats.laplace.ppf(u, mu, b), located=True),
    "Cauchy": _Kind(lambda u, x, gamma: stats.cauchy.ppf(u, x, gamma), located=True),
    "Gumbel": _Kind(lambda u, mu, beta: stats.gumbel_r.ppf(u, mu, beta), located=True),
    "Poisson": _Kind(lambda u, rate: stats.poisson.ppf(u, rate), counts=True),
    "NegativeBinomial": _Kind(
        lambda u, r, p: stats.nbinom.ppf(u, r, 1 - p), counts=True
    ),
    "Bernoulli": _Kind(lambda u, p: stats.bernoulli.ppf(u, p)),
    "Beta": _Kind(lambda u, alpha, beta: stats.beta.ppf(u, alpha, beta)),
    "ContinuousBernoulli": _Kind(_continuous_bernoulli),
    "Dirichlet": _Kind(lambda u, alpha: _simplex(stats.gamma.ppf(u, alpha))),
    "Exponential": _Kind(lambda u, rate: stats.expon.ppf(u, scale=1 / rate)),
    "Gamma": _Kind(lambda u, alpha, beta: stats.gamma.ppf(u, alpha, scale=1 / beta)),
    "Geometric": _Kind(lambda u, p: stats.geom.ppf(u, p, loc=-1)),
    "HalfNormal": _Kind(lambda u, sigma: stats.halfnorm.ppf(u, scale=sigma)),
    "LogNormal": _Kind(lambda u, mu, s: stats.lognorm.ppf(u, s, scale=np.exp(mu))),
    "Weibull": _Kind(lambda u, scale, k: stats.weibull_min.ppf(u, k, scale=scale)),
}


def _simplex(values: np.ndarray) -> np.ndarray:
    """Return values that add up to one along the channels, the last axis but one."""
    values = np.maximum(values, np.finfo(values.dtype).tiny)
    shares: np.ndarray = values / values.sum(axis=-2, keepdims=True)
    return shares


class DartsLikelihood:
    """One of darts' likelihoods, in the backend's protocol.

    Parameters
    ----------
    likelihood : darts.utils.likelihood_models.torch.TorchLikelihood
        Any of darts' likelihoods, priors included.
    """

    name: ClassVar[str | None] = "darts"

    def __init__(self, likelihood: TorchLikelihood) -> None:
        self.likelihood = likelihood
        self.kind = KINDS[likelihood.type.name]

    @property
    def n_parameters(self) -> int:
        """K, the number of outputs for every forecast value."""
        n_parameters: int = self.likelihood.num_parameters
        return n_parameters

    @property
    def least_scale(self) -> float:
        """Least scale of a window in the user's units."""
        return 1.0 if self.kind.counts else 0.0

    @property
    def is_joint(self) -> bool:
        """Whether all channels share one distribution."""
        return isinstance(self.likelihood, darts_likelihoods.DirichletLikelihood)

    def parameters(self, raw: Tensor, path: Tensor) -> Tensor:
        """Return parameters, or outputs on the way to them where links come last."""
        if self.kind.located or self.kind.counts:
            raw = torch.cat([raw[..., :1] + path[..., None], raw[..., 1:]], -1)
        if self.kind.located:
            return torch.stack(self.likelihood._params_from_output(raw), -1)
        return raw

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return the loss (...) of normalised targets (...), without priors."""
        given = self._distribution(parameters)
        loss: Tensor = -given.log_prob(target)
        return loss

    def restore(self, parameters: Tensor, center: Tensor, scale: Tensor) -> Tensor:
        """Return the distribution's parameters in the user's units."""
        if self.kind.located:
            location = parameters[..., 0] * scale + center
            spread = parameters[..., 1] * scale
            return torch.stack([location, spread], -1)
        outputs = self._in_users_units(parameters, center, scale)
        flat: Tensor = self.likelihood.predict_likelihood_parameters(outputs)
        return flat.reshape(outputs.shape)

    def widen(self, parameters: Tensor, factor: Tensor) -> Tensor:
        """Return another scale where there is one, else what was given."""
        if not self.kind.located:
            return parameters
        return torch.stack([parameters[..., 0], parameters[..., 1] * factor], -1)

    def point(self, parameters: Tensor) -> Tensor:
        """Return the medians."""
        return self.quantiles(parameters, parameters.new_tensor([0.5]))[..., 0]

    def quantiles(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """Return quantiles (..., A) at levels (A,) or (..., A)."""
        given = [one[..., None].numpy() for one in parameters.double().cpu().unbind(-1)]
        values = self.kind.quantiles(levels.double().cpu().numpy(), *given)
        return torch.from_numpy(np.asarray(values)).to(parameters)

    def check_support(self, values: np.ndarray) -> None:
        """Refuse observed targets that the distribution cannot have, or learn from."""
        if self.kind.located:
            return  # any value will do
        n_channels = values.shape[-1] if self.is_joint else 1
        outputs = torch.zeros(1, 1, n_channels, self.n_parameters)
        given = self._distribution(self.likelihood._params_from_output(outputs))
        whole = values[~np.isnan(values).any(-1)] if self.is_joint else None
        seen = values[~np.isnan(values)] if whole is None else whole
        targets = torch.from_numpy(np.ascontiguousarray(seen))
        assert given.support is not None
        name = type(self.likelihood).__name__
        if not given.support.check(targets).all():
            raise DataError(
                f"{name} forecasts values in {given.support}, but the series have "
                f"values from {seen.min():.6g} to {seen.max():.6g}. Pass series within "
                'the support, or another likelihood, such as "quantile".'
            )
        learnable = given.log_prob(targets).isfinite().flatten()
        if not learnable.all():
            raise DataError(
                f"{name} has no finite density at {targets[~learnable].min():.6g}, "
                "which the series hold. Move such values inside the support, or pass "
                'another likelihood, such as "quantile".'
            )

    def mean_loss(self, parameters: Tensor, batch: TrainingBatch) -> Tensor:
        """Return darts' loss, priors included, of a batch as the network reads it.

        It is NaN where the network has diverged so far that its outputs are no
        distribution's parameters.
        """
        frame = batch.columns.frame
        center, scale = (
            part[:, None].expand(parameters.shape[:3])
            for part in (frame.center, frame.scale)
        )
        if self.kind.located:
            target, weight = batch.columns.target, batch.columns.weight
            scored = parameters.unbind(-1)
        else:
            target, weight = batch.target, batch.weight
            outputs = self._in_users_units(parameters, center, scale)
            scored = self.likelihood._params_from_output(outputs)
        if self.is_joint:
            weight = weight.mean(-1) * (weight > 0).all(-1)
        kept = weight > 0
        if not kept.any():
            return parameters.sum() * 0.0
        weights = weight[kept]
        believed = scored
        if self.kind.located:
            believed = self.restore(parameters, center, scale).unbind(-1)
        try:
            nll = self.likelihood._nllloss(
                tuple(one[kept] for one in scored), target[kept], weights
            )
            prior = self._prior_loss([batch.side_by_side(one) for one in believed])
        except ValueError:
            if self._are_parameters(scored):
                raise
            return parameters.sum() * torch.nan
        loss: Tensor = nll * len(weights) / weights.sum()
        return loss + prior

    def _prior_loss(self, given: list[Tensor]) -> Tensor | float:
        """Return the divergence of parameters (B, H, C) in user's units from priors."""
        priors = self.likelihood._prior_params
        if priors is None or all(prior is None for prior in priors):
            return 0.0
        believed = tuple(
            one if prior is None else torch.as_tensor(prior).to(one).expand_as(one)
            for one, prior in zip(given, priors, strict=True)
        )
        divergence = kl_divergence(
            self._distribution(believed), self._distribution(tuple(given))
        )
        strength: float = self.likelihood.prior_strength
        return strength * divergence.mean()

    def _in_users_units(self, outputs: Tensor, center: Tensor, scale: Tensor) -> Tensor:
        """Return outputs whose links lead to parameters in the user's units."""
        outputs = outputs.double()
        if not self.kind.counts:
            return outputs
        located = outputs[..., 0] * scale + center
        return torch.cat([located[..., None], outputs[..., 1:]], -1)

    def _are_parameters(self, given: tuple[Tensor, ...]) -> bool:
        """Return whether there is a distribution with some parameters."""
        try:
            self._distribution(given)
        except ValueError:
            return False
        return True

    def _distribution(self, parameters: Any) -> torch.distributions.Distribution:
        """Return the distribution of parameters."""
        if isinstance(parameters, Tensor):
            parameters = parameters.unbind(-1)
        return self.likelihood._distr_from_params(parameters)


def darts_likelihood(likelihood: object) -> TorchLikelihood | None:
    """Return darts' object for a word, for an object, or for none.

    Raises
    ------
    ParameterError
        If the word is unknown.
    ParameterTypeError
        If it is neither a word nor one of darts' likelihoods for torch models.
    """
    if likelihood is None or isinstance(likelihood, StudentTLikelihood):
        return likelihood
    if isinstance(likelihood, TorchLikelihood):
        if likelihood.type is not None and (
            likelihood.type.name in KINDS or isinstance(likelihood, QuantileRegression)
        ):
            return likelihood
    elif isinstance(likelihood, str):
        words = {
            QuantileLikelihood.name: lambda: QuantileRegression(
                list(DEFAULT_QUANTILES)
            ),
            NormalLikelihood.name: GaussianLikelihood,
            BackendStudentT.name: StudentTLikelihood,
        }
        if likelihood in words:
            chosen: TorchLikelihood = words[likelihood]()
            return chosen
        advice = did_you_mean(likelihood, LIKELIHOODS)
        raise ParameterError(f"likelihood={likelihood!r} is unknown.{advice}")
    raise ParameterTypeError(
        f"likelihood must be None, one of {[name for name in LIKELIHOODS if name]}, or "
        "a likelihood of darts.utils.likelihood_models.torch, got "
        f"{likelihood!r} of type {type(likelihood).__name__}."
    )


def backend_likelihood(likelihood: TorchLikelihood | None) -> Likelihood:
    """Return what a network's outputs mean under one of darts' likelihoods."""
    if likelihood is None:
        return PointLikelihood()
    if isinstance(likelihood, StudentTLikelihood):
        return BackendStudentT()
    if isinstance(likelihood, QuantileRegression):
        return QuantileLikelihood(tuple(likelihood.quantiles))
    if type(likelihood) is GaussianLikelihood and likelihood == GaussianLikelihood():
        return NormalLikelihood()
    return DartsLikelihood(likelihood)


def words_of(likelihood: Likelihood) -> TorchLikelihood | None:
    """Return darts' object for a network's likelihood."""
    if isinstance(likelihood, DartsLikelihood):
        return likelihood.likelihood
    if isinstance(likelihood, QuantileLikelihood):
        return QuantileRegression(list(likelihood.levels))
    return darts_likelihood(likelihood.name)


def mean_loss(
    likelihood: Likelihood, parameters: Tensor, batch: TrainingBatch
) -> Tensor:
    """Return the mean loss of a batch, weighted.

    Parameters
    ----------
    likelihood : Likelihood
        What the parameters mean.
    parameters : torch.Tensor of shape (B, H, C, K)
        What the network made of the batch, in normalised units.
    batch : TrainingBatch
        The batch.
    """
    if isinstance(likelihood, DartsLikelihood):
        return likelihood.mean_loss(parameters, batch)
    weight = batch.columns.weight
    loss = likelihood.loss(parameters, batch.columns.target) * weight
    return loss.sum() / weight.sum().clamp_min(1e-12)
