"""How much wider than in training the spread of forecasts must be, measured.

A network that sees the same windows many times knows them better than those to come,
and its intervals are too narrow. By how much shows a rehearsal: a part of the training,
without the last horizon of each series, which is then forecast.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from torch import Generator

from lstm_forecasters.backend.forecasting import forecast
from lstm_forecasters.backend.likelihoods import PointLikelihood
from lstm_forecasters.backend.model import ForecastModel
from lstm_forecasters.backend.recipe import Recipe
from lstm_forecasters.backend.training import Trainer
from lstm_forecasters.backend.windows import Origins, Windows
from lstm_forecasters.errors import TrainingError

__all__ = ["rehearse_spread"]

LEAST_SERIES = 10
"""Fewer last horizons tell too little of the next one."""

LEAST_EPOCHS = 8.0
"""A network that sees each window less often does not know it by heart."""

SHARES_OF_STEPS = (0.2, 0.3, 0.4)
"""After which shares of the steps the spread is looked at."""

LEVELS = np.array([0.1, 0.5, 0.9])
COVERAGE = 0.8
LARGEST_FACTOR = 3.0

PRIOR_SERIES = 20
"""As many series, which need no correction, are added to those measured."""


def rehearse_spread(
    model: ForecastModel,
    windows: Windows,
    recipe: Recipe,
    generator: Generator,
    *,
    device: str | torch.device = "cpu",
) -> None:
    """Widen the spread of a model that is yet to be trained, by what a rehearsal shows.

    Nothing is done for point forecasts, for few series, where there are so many windows
    that the network sees each of them a few times only, where nothing was observed of
    the last horizons, and where the rehearsal diverges.

    Parameters
    ----------
    model : ForecastModel
        The model before its training, which is left untrained.
    windows : Windows
        All windows of the training series.
    recipe : Recipe
        How the model is going to be trained.
    generator : torch.Generator
        Source of the rehearsal's randomness, as far as there is one.
    device : str or torch.device, default="cpu"
        Where to train.
    """
    if isinstance(model.likelihood, PointLikelihood):
        return
    reach = model.layout.reach
    last = windows.lengths - reach
    first, _ = model.layout.training_origins(last)
    n_origins = np.maximum(last - reach + 1 - first, 0)
    judged = np.flatnonzero(n_origins)
    n_judged = len(judged) * windows.n_components // model.layout.n_channels
    if n_judged < LEAST_SERIES:
        return
    rehearsed = copy.deepcopy(model)
    trainer = Trainer(
        rehearsed,
        windows,
        dataclasses.replace(recipe, validation_fraction=0.0),
        Generator().manual_seed(generator.initial_seed()),
        device=device,
        origins=Origins(first, n_origins),
    )
    if trainer.n_epochs < LEAST_EPOCHS:
        return
    looks = [int(share * trainer.n_steps) for share in SHARES_OF_STEPS]
    try:
        found = [
            _needed_factor(rehearsed, windows, judged, last[judged])
            for _ in trainer.pauses(looks)
        ]
    except TrainingError:  # it diverged, of which the fit itself will tell
        return
    factor = np.exp(np.mean(np.log(np.clip(found, 1.0, LARGEST_FACTOR))))
    model.widening *= 1 + (factor - 1) * n_judged / (n_judged + PRIOR_SERIES)


def _needed_factor(
    model: ForecastModel, windows: Windows, series: np.ndarray, steps: np.ndarray
) -> float:
    """Return what distances from medians must be multiplied by to hold 80 %."""
    horizon = model.layout.horizon
    quantiles = forecast(model, windows, series, steps, horizon).quantiles(LEVELS)
    lower, median, upper = np.moveaxis(quantiles, -1, 0)
    batch = windows.gather(
        torch.from_numpy(series), torch.from_numpy(steps), with_target=True
    )
    target, is_known = batch.target.numpy(), batch.weight.numpy() > 0
    if not is_known.any():
        return 1.0
    distance = np.abs(target - median)
    spread = np.where(target > median, upper - median, median - lower)
    ratio = np.divide(
        distance, spread, where=spread > 0, out=np.where(distance > 0, np.inf, 0.0)
    )
    return float(np.quantile(ratio[is_known], COVERAGE, method="nearest"))
